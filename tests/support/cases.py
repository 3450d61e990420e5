"""The program as a case meets it: one function for each thing that a user would see it do.

Each reaches the program by whatever holds that part today. Cases written with these outlive every
move of code: what is moved is adapted here, and the functions keep their names and what they give.
Modules are imported where they are used, so that a case waits for no part that it does not meet.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch
    from torch import nn

    from engine.embeddings.inversion import TextualInversion
    from engine.generate.infotext import Infotext
    from engine.library.entry import LibraryEntry
    from engine.words.prompt import ParsedPrompt
    from tui_loraswitch.images.fit import HalfCells


def verdict(path: Path) -> str:
    """What is said of a LoRA for full-size SDXL: it fits, with counts, or why it is refused."""
    import torch

    from engine.checkpoint.outline import outline_of
    from engine.errors import EngineError
    from engine.lora.file import read_lora_header
    from engine.lora.targets import TargetTable
    from engine.switch.fit import fit, refuse_wrong_base

    outline = outline_of(None, torch.float16)
    try:
        file = read_lora_header(path)
        refuse_wrong_base(file)
        _, report = fit(file, TargetTable(outline), outline)
    except EngineError as error:
        return str(error)
    return f"fits, {report.matched} of {report.modules} modules; base {file.base}"


def opened(path: Path) -> Any:
    """A checkpoint opened in float16 on the CPU, as a pipeline; or the sentence that refuses it."""
    import torch

    from engine import open_checkpoint
    from engine.errors import EngineError

    try:
        return open_checkpoint(path, device="cpu", dtype=torch.float16).pipeline
    except EngineError as error:
        return str(error)


def tiny_checkpoint(folder: Path) -> Path:
    """Write a tiny SDXL as a single file in the original layout."""
    from tests.support.tiny_checkpoint import write_tiny_checkpoint

    return write_tiny_checkpoint(folder)


def tiny_parts() -> dict[str, nn.Module]:
    """`unet`, `text_encoder` and `text_encoder_2` of a tiny SDXL."""
    from tests.support.tiny_sdxl import make_parts

    return make_parts()


def inversion(path: Path) -> TextualInversion:
    """A textual inversion. Raises `EngineError`."""
    from engine.embeddings.file import read_inversion

    return read_inversion(path)


def entry(path: Path) -> LibraryEntry:
    """What the library knows of a LoRA file and of what lies beside it."""
    from engine.library.read_entry import read_entry
    from tui_loraswitch.commands.inspect import _found

    return read_entry(_found(path))


def chunks(text: str) -> list[int]:
    """How many tokens each chunk of a prompt has, by the demo's first tokenizer."""
    from engine.embeddings.vocabulary import NO_EMBEDDINGS
    from engine.generate.chunks import cut_chunks
    from engine.words.prompt import parse_prompt

    cut = cut_chunks(parse_prompt(text), _demo_pipeline().tokenizer, NO_EMBEDDINGS, "clip_l")
    return [len(chunk) for chunk in cut]


def negative(text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """States and pooled vector that stand for this negative prompt when the demo draws."""
    from engine.generate.encode import encode_texts

    _, found = encode_texts(_demo_pipeline(), ("a star", text))
    return found.states, found.pooled


def infotext(text: str) -> Infotext:
    """The infotext of a picture, read."""
    from engine.generate.infotext import parse_infotext

    return parse_infotext(text)


def prompt(text: str) -> ParsedPrompt:
    """A prompt, parsed. Raises `EngineError` where it is refused."""
    from engine.words.prompt import parse_prompt

    return parse_prompt(text)


def preview(path: Path) -> HalfCells | None:
    """A LoRA's preview in 20 by 10 cells as the details show it; None where there is no picture.

    `path` is the LoRA, or the picture beside it that is tried first.
    """
    from engine.library.beside import find_previews
    from engine.library.previews import PREVIEW_ENDINGS
    from tui_loraswitch.panes.details import read_preview

    endings = sorted(PREVIEW_ENDINGS, key=len, reverse=True)
    ending = next((ending for ending in endings if path.name.lower().endswith(ending)), path.suffix)
    lora = path.with_name(f"{path.name[: -len(ending)]}.safetensors")
    first = () if path == lora else (path,)
    shown = SimpleNamespace(previews=(*first, *find_previews(lora)), path=lora)
    return read_preview(cast("LibraryEntry", shown), 20, 10)


def log_to(path: Path) -> AbstractContextManager[None]:
    """While it lasts, the program's log goes to this file."""
    from tui_loraswitch.commands.log_file import log_to_file

    return log_to_file(path)


@lru_cache(maxsize=1)
def _demo_pipeline() -> Any:
    import torch

    from engine import open_checkpoint
    from engine.demo import DEMO_MODEL

    return open_checkpoint(DEMO_MODEL, device="cpu", dtype=torch.float32).pipeline
