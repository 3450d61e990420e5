"""What the engine thread does with each command; it alone holds tensors."""

from __future__ import annotations

import gc
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import singledispatchmethod
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from engine.commands import Command, Generate, Load, Prefetch, SetBackup, Switch, Verify
from engine.demo import DEMO_MODEL
from engine.device import choose_device, choose_dtype, device_name, device_uuid
from engine.errors import CancelledError, CheckpointError, EngineError
from engine.events import (
    BackupMoved,
    Event,
    GenerationCancelled,
    GenerationFinished,
    GenerationStarted,
    GenerationStep,
    HashAwaited,
    LoadProgress,
    MemoryChanged,
    ModelInfo,
    ModelLoaded,
    PictureSaved,
    Preview,
    StateChanged,
    Switched,
    Verified,
)
from engine.generate.quiet import quiet_libraries
from engine.host_memory import is_out_of_memory
from engine.modes.names import OFFLOADED, Mode
from engine.prediction import Prediction
from engine.reports import MemoryReport

log = logging.getLogger(__name__)

quiet_libraries()

# diffusers' pipelines log while they are imported, so whatever needs them comes after that.
from engine.checkpoint import Checkpoint, CheckpointPlan, plan_checkpoint  # noqa: E402
from engine.embeddings.inject import token_widths  # noqa: E402
from engine.embeddings.store import EmbeddingStore  # noqa: E402
from engine.generate.encode import EmbeddingsCache  # noqa: E402
from engine.generate.infotext import ModelUsed, describe_picture, write_infotext  # noqa: E402
from engine.generate.preview import LatentRgb  # noqa: E402
from engine.generate.run import GeneratedPicture, generate  # noqa: E402
from engine.generate.save import require_folder, save_or_rescue  # noqa: E402
from engine.library.hash_store import HashStore  # noqa: E402
from engine.library.hashes import FileHashes  # noqa: E402
from engine.modes.decide import decide_mode, require_backup  # noqa: E402
from engine.modes.place import load_device, place  # noqa: E402
from engine.switch.switcher import LoraSwitcher  # noqa: E402

Cancelled = Callable[[], bool]

_PROGRESS_SECONDS = 0.1
"""A model has thousands of tensors; nobody reads a number more often than this."""


class Worker:
    """Holds the loaded model and its switcher, and answers commands with events."""

    def __init__(self, emit: Callable[[Event], None], index: Path | None = None) -> None:
        self._emit = emit
        self._checkpoint: Checkpoint | None = None
        self._switcher: LoraSwitcher | None = None
        self._vae: Path | None = None
        """In place of the model's own."""
        self._lender: Path | None = None
        """The model whose text encoders or VAE are used."""
        self._device = torch.device("cpu")
        self._mode: Mode = "resident"
        self._embeddings = EmbeddingsCache()
        self._inversions = EmbeddingStore()
        self._hashes = HashStore(index)
        self._told = StateChanged("empty")

    @singledispatchmethod
    def do(self, command: Command, cancelled: Cancelled) -> None:
        """Carry out a command; raises `EngineError` when it cannot be done."""
        raise TypeError(f"no such command: {command!r}")

    @do.register
    def _load(self, command: Load, cancelled: Cancelled) -> None:
        start = time.monotonic()
        path = (command.model or DEMO_MODEL).expanduser().absolute()
        vae, parts_from = _whole(command.vae), _whole(command.parts_from)
        device = choose_device(command.device)
        dtype = choose_dtype(command.dtype, device)

        last_told = -math.inf

        def progress(done: int, total: int) -> None:
            nonlocal last_told
            if cancelled():
                raise CancelledError("The loading was cancelled.")
            now = time.monotonic()
            if done == total or now - last_told >= _PROGRESS_SECONDS:
                last_told = now
                self._emit(LoadProgress(f"Reading {path.name}", done, total))

        progress(0, 0)
        require_backup(command.mode, command.backup)
        if command.compiled:
            from engine.modes.compiled import require_compilable

            require_compilable(command.mode)
        looked = self._hashes.look((path, vae))
        plan = _plan(path, vae, parts_from, command.prediction, dtype)
        # What is refused from here on is for want of memory, which the old model may be taking.
        self._unload()
        try:
            mode = decide_mode(command.mode, plan.files, device, dtype, compiled=command.compiled)
            require_backup(mode, command.backup)
            checkpoint = plan.load(device=load_device(mode, device), progress=progress)
            # Of what follows nothing can be stopped.
            progress(0, 0)
            place(checkpoint.pipeline, mode, device)
            self._emit(LoadProgress("Taking fingerprints of the base weights"))
            pipeline = checkpoint.pipeline
            switcher = LoraSwitcher(
                pipeline.unet,
                pipeline.text_encoder,
                pipeline.text_encoder_2,
                backup=command.backup,
                source=checkpoint.source,
            )
            if mode in OFFLOADED and switcher.tier == "device":
                # Beside the weights, which is main memory here.
                switcher.set_backup("cpu")
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise EngineError(f"{path.name} does not fit into the memory of {device}.") from error
        if command.compiled:
            from engine.modes.compiled import compile_unet

            compile_unet(pipeline.unet)
        self._checkpoint, self._switcher = checkpoint, switcher
        self._device, self._mode, self._vae = torch.device(device), mode, vae
        self._lender = plan.files.lender
        self._hashes.use(looked)
        self._hashes.begin(looked)
        self._emit(
            ModelLoaded(
                _describe(checkpoint, device, dtype, mode),
                time.monotonic() - start,
                checkpoint.notes,
            )
        )
        self._emit_state()

    @do.register
    def _switch(self, command: Switch, cancelled: Cancelled) -> None:
        switcher = self._require_switcher("switch LoRAs on")
        before = switcher.stack
        looked = self._hashes.look(ref.path for ref in command.stack)
        try:
            report = switcher.apply(command.stack, cancelled)
        except EngineError:
            # A fault after the first write has brought the base back, or will have to.
            if switcher.stack != before or switcher.state == "recovering":
                self._embeddings.clear()
            raise
        else:
            self._hashes.use(looked)
            if report.text_encoders_changed:
                self._embeddings.clear()
            warnings = tuple(text for lora in report.loras for text in lora.warnings)
            self._emit(Switched(report, warnings))
        finally:
            self._emit_state()

    @do.register
    def _generate(self, command: Generate, cancelled: Cancelled) -> None:
        switcher = self._require_known("draw with")
        checkpoint = self._require_checkpoint()
        start = time.monotonic()
        request, saved, warnings = command.request, list[PictureSaved](), list[str]()
        done, total = 0, 0
        stack = switcher.stack
        if command.stack is not None and Counter(command.stack) != Counter(stack):
            raise EngineError("The picture was not drawn: its LoRAs could not be switched to.")
        require_folder(request.output)
        self._hashes.begin(ref.path for ref in stack)
        vocabulary = self._inversions.find(
            (request.prompt, request.negative_prompt),
            token_widths(checkpoint.pipeline),
            request.embeddings,
            switcher.embeddings,
        )

        def on_start(seed: int, steps: int) -> None:
            nonlocal total
            total = steps
            self._emit(GenerationStarted(request, seed, steps))

        def on_step(step: int, steps: int, preview: Preview | None) -> None:
            nonlocal done
            done = step
            self._emit(GenerationStep(step, steps, time.monotonic() - start, preview))

        def hashes_of(path: Path | None) -> FileHashes | None:
            return self._hashes.of_used(path, cancelled, lambda p: self._emit(HashAwaited(p.name)))

        def on_picture(picture: GeneratedPicture) -> None:
            # It was drawn without waiting; what is written says which files it was drawn with.
            model, vae = hashes_of(checkpoint.path), hashes_of(self._vae)
            loras = ((request.name_of(ref), hashes_of(ref.path)) for ref in stack)
            info = describe_picture(
                request,
                picture.seed,
                model=self._model_used(checkpoint, model, vae),
                stack=stack,
                lora_hashes=[(name, hashes.autov3) for name, hashes in loras if hashes],
                embedding_hashes=vocabulary.hashes,
                version=_version(),
                index=picture.index,
            )
            text = write_infotext(info)
            path, rescued = save_or_rescue(picture.image, request.output, picture.seed, text)
            if rescued is not None:
                warnings.append(rescued)
            width, height = picture.image.size
            saved.append(PictureSaved(path, picture.seed, width, height, request.steps, text))
            self._emit(saved[-1])

        try:
            report = generate(
                checkpoint.pipeline,
                request,
                cancelled=cancelled,
                on_start=on_start,
                on_step=on_step,
                on_picture=on_picture,
                latent_rgb=LatentRgb(**checkpoint.latent_rgb),
                embeddings_cache=self._embeddings,
                vocabulary=vocabulary,
            )
        except CancelledError:
            self._emit(GenerationCancelled(done, total))
            return
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            # A little more room for the next try.
            switcher.free_device_cache()
            raise EngineError(_no_room_for_picture(self._device, self._mode)) from error
        finally:
            self._emit_memory()
        # Of weights that were lost meanwhile the pictures are not what their infotext says.
        self._require_known("draw with")
        seconds = time.monotonic() - start
        self._emit(GenerationFinished(tuple(saved), seconds, (*report.warnings, *warnings)))

    @do.register
    def _set_backup(self, command: SetBackup, cancelled: Cancelled) -> None:
        switcher = self._require_switcher("move backups of")
        require_backup(self._mode, command.tier)
        start = time.monotonic()
        switcher.set_backup(command.tier)
        moved = switcher.backup_bytes
        self._emit(BackupMoved(command.tier, moved, time.monotonic() - start))
        self._emit_memory()

    @do.register
    def _verify(self, command: Verify, cancelled: Cancelled) -> None:
        switcher = self._require_switcher("verify")
        start = time.monotonic()
        with self._telling_state(switcher):
            report = switcher.verify()
        self._emit(Verified(report, time.monotonic() - start))

    @do.register
    def _prefetch(self, command: Prefetch, cancelled: Cancelled) -> None:
        try:
            self._require_switcher("read LoRAs for").prefetch(command.ref, cancelled)
        except EngineError as error:
            # Nobody asked for this LoRA yet; a switch to it will say what is wrong.
            log.info("not read ahead: %s", error)
        self._emit_memory()

    def _model_used(
        self, checkpoint: Checkpoint, model: FileHashes | None, vae: FileHashes | None
    ) -> ModelUsed:
        return ModelUsed(
            checkpoint.path.stem,
            model.autov2 if model else None,
            vae=self._vae.stem if self._vae is not None else None,
            vae_hash=vae.autov2 if vae else None,
            prediction=checkpoint.prediction,
            parts_from=self._lender.stem if self._lender is not None else None,
        )

    def _unload(self) -> None:
        had_model = self._switcher is not None
        self._checkpoint = self._switcher = None
        self._embeddings.clear()
        if had_model:
            # Frozen objects, as the library's thread makes them, are never collected: a model that
            # was loaded meanwhile would stay.
            gc.unfreeze()
            gc.collect()
            gc.freeze()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if had_model:
            self._emit(StateChanged("empty"))
            self._emit_memory()

    def _require_switcher(self, purpose: str) -> LoraSwitcher:
        if self._switcher is None:
            raise EngineError(f"No model is loaded, so there is nothing to {purpose}.")
        return self._switcher

    def _require_known(self, purpose: str) -> LoraSwitcher:
        """The switcher with its weights known: brought back to the base first if they are not."""
        switcher = self._require_switcher(purpose)
        with self._telling_state(switcher):
            switcher.require_known()
        return switcher

    @contextmanager
    def _telling_state(self, switcher: LoraSwitcher) -> Iterator[None]:
        """Tell of the state when what is done inside, or what it found, is not what was told."""
        try:
            yield
        finally:
            if StateChanged(switcher.state, switcher.stack) != self._told:
                self._embeddings.clear()
                self._emit_state()

    def _require_checkpoint(self) -> Checkpoint:
        assert self._checkpoint is not None, "a switcher exists only with its checkpoint"
        return self._checkpoint

    def _emit_state(self) -> None:
        if self._switcher is not None:
            self._told = StateChanged(self._switcher.state, self._switcher.stack)
            self._emit(self._told)
        self._emit_memory()

    def _emit_memory(self) -> None:
        switcher, checkpoint = self._switcher, self._checkpoint
        if switcher is None or checkpoint is None:
            self._emit(MemoryChanged(MemoryReport()))
            return
        device = self._device
        cuda = device.type == "cuda"
        self._emit(
            MemoryChanged(
                MemoryReport(
                    model=_model_bytes(checkpoint),
                    backup=switcher.backup_bytes,
                    backup_tier=switcher.tier,
                    lora_cache=switcher.cache_bytes,
                    lora_on_gpu=switcher.device_cache_bytes,
                    torch_allocated=torch.cuda.memory_allocated(device) if cuda else 0,
                    torch_reserved=torch.cuda.memory_reserved(device) if cuda else 0,
                    offloaded=self._mode in OFFLOADED,
                )
            )
        )


def _whole(path: Path | None) -> Path | None:
    return path.expanduser().absolute() if path else None


def _plan(
    path: Path,
    vae: Path | None,
    parts_from: Path | None,
    prediction: Prediction | None,
    dtype: torch.dtype,
) -> CheckpointPlan:
    """Raise `EngineError` unless the paths lead to SDXL, also for one that no system can open."""
    try:
        return plan_checkpoint(
            path, vae=vae, parts_from=parts_from, prediction=prediction, dtype=dtype
        )
    except OSError as error:
        # Asking what a path leads to fails for a name too long, or a closed folder.
        raise CheckpointError(f"{path}: cannot be opened ({error}).") from error


def _describe(checkpoint: Checkpoint, device: str, dtype: torch.dtype, mode: Mode) -> ModelInfo:
    modules = checkpoint.modules.values()
    return ModelInfo(
        name=checkpoint.path.stem,
        path=checkpoint.path,
        device=device,
        device_name=device_name(device),
        dtype=str(dtype).removeprefix("torch."),
        parameters=sum(p.numel() for module in modules for p in module.parameters()),
        bytes=_model_bytes(checkpoint),
        default_size=checkpoint.default_size,
        is_demo=checkpoint.path == DEMO_MODEL.absolute(),
        gpu_uuid=device_uuid(device),
        mode=mode,
        prediction=checkpoint.prediction,
    )


def _no_room_for_picture(device: torch.device, mode: Mode) -> str:
    """What happened, and what helps."""
    if device.type == "cpu":
        return (
            "There is not enough memory for this picture. Choose a smaller size, or leave the "
            "backups in the model's file."
        )
    return (
        "The GPU has not enough memory for this picture. Choose a smaller size, move the backups "
        f"to the CPU, or open the model in another mode (it is in the mode {mode})."
    )


def _model_bytes(checkpoint: Checkpoint) -> int:
    return sum(p.nbytes for module in checkpoint.modules.values() for p in module.parameters())


def _version() -> str | None:
    try:
        return f"loraswitch {version('loraswitch')}"
    except PackageNotFoundError:
        return None
