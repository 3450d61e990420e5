"""Read all that is known of a model before its weights: configuration and headers, made whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.checkpoint.config import Config, refuse_nonsense, set_prediction
from engine.checkpoint.folder import read_folder
from engine.checkpoint.model_files import ModelFiles, parts_in_words
from engine.checkpoint.single_file import read_single_file
from engine.checkpoint.vae_file import use_vae, vae_beside
from engine.errors import CheckpointError
from engine.sdxl.layout import PARTS
from engine.sdxl.prediction import Prediction


@dataclass(frozen=True)
class ModelChoice:
    """A model that a user names, with what is to be used in place of its own."""

    path: Path
    """A file, or a diffusers folder."""
    vae: Path | None = None
    """A file or folder to take the VAE from instead."""
    parts_from: Path | None = None
    """Another model, whose text encoders and VAE are used where this one has none."""
    prediction: Prediction | None = None
    """What the model predicts, whatever its files say."""


def read_model(choice: ModelChoice, *, half: bool) -> ModelFiles:
    """Read the configuration and the headers of a whole model; `half` prefers fp16 weights.

    Raises `CheckpointError` or `FileFormatError` when it is no SDXL model, or not all of one.
    """
    path = choice.path
    with refuse_nonsense(path.name):
        model = read_networks(path, half=half, prediction=choice.prediction)
        vae = choice.vae or (None if "vae" in model.parts else _own_vae(path))
        has_all = model.has_text_encoders and (vae is not None or "vae" in model.parts)
        other = None
        if choice.parts_from is not None and not has_all:
            other = _read_lender(choice.parts_from, half=half)
            if not model.has_text_encoders:
                model = read_networks(
                    path, half=half, like=other.config, prediction=choice.prediction
                )
        if vae is not None:
            model = use_vae(model, vae)
        if other is not None:
            model = model.completed_by(other)
        _require_whole(model)
        if choice.prediction is not None:
            set_prediction(model.config, choice.prediction)
        _require_known_prediction(model)
    return model


def read_networks(
    path: Path,
    *,
    half: bool = True,
    like: Config | None = None,
    prediction: Prediction | None = None,
) -> ModelFiles:
    """Read the configuration and the headers of a model, of which parts may be missing.

    A file that says nothing of its own sizes is taken to be `like` another model, or SDXL.
    Where the user says the `prediction`, nothing is looked for beside a file.
    Raises `CheckpointError` or `FileFormatError` when it is no SDXL model.
    """
    with refuse_nonsense(path.name):
        if path.is_dir():
            return read_folder(path, half=half)
        return read_single_file(path, like, prediction)


def _read_lender(path: Path, *, half: bool) -> ModelFiles:
    model = read_networks(path, half=half)
    if not model.has_text_encoders:
        raise CheckpointError(
            f"{path.name}: it has no text encoders that another model could use; name a whole "
            "model with --parts-from."
        )
    vae = None if "vae" in model.parts else _own_vae(path)
    return model if vae is None else use_vae(model, vae)


def _own_vae(path: Path) -> Path | None:
    """The VAE that lies in a model's folder, or beside its file."""
    if path.is_dir():
        return path / "vae" if (path / "vae").is_dir() else None
    return vae_beside(path)


def _require_known_prediction(model: ModelFiles) -> None:
    """Raise `CheckpointError` for a model that predicts neither the noise nor v."""
    kind = model.config["scheduler"].get("prediction_type", "epsilon")
    if kind not in ("epsilon", "v_prediction"):
        raise CheckpointError(
            f"{model.path.name}: its files say that it predicts {str(kind)[:40]}, which is not "
            "supported; open another model, or say what it predicts (--prediction)."
        )


def _require_whole(model: ModelFiles) -> None:
    """Raise `CheckpointError` for a model that lacks a part, saying what to name."""
    name = model.path.name
    lacking = parts_in_words([part for part in PARTS if part not in model.parts])
    if not model.has_text_encoders:
        what = "this is a UNet alone" if len(model.parts) == 1 else f"there is no {lacking} in it"
        raise CheckpointError(
            f"{name}: {what}; name a whole SDXL model whose {lacking} it is to use: "
            "--parts-from MODEL."
        )
    if lacking:
        beside = f", or put it beside the checkpoint as {model.path.stem}.vae.safetensors"
        raise CheckpointError(
            f"{name}: there is no VAE in it; name one to use with it (--vae FILE)"
            f"{'' if model.path.is_dir() else beside}."
        )
