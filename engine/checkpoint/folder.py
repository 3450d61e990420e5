"""A model in a diffusers folder: one subfolder for each part."""

from __future__ import annotations

from pathlib import Path

from engine.checkpoint.config import Config, sdxl_config
from engine.checkpoint.folder_files import part_files, read_config
from engine.checkpoint.locate import PartFiles
from engine.checkpoint.model_files import ModelFiles
from engine.checkpoint.part_of_folder import INDEX, refuse_part_of_model
from engine.checkpoint.spellings import spellings_of
from engine.checkpoint.unet_layers import with_layers_of
from engine.errors import CheckpointError
from engine.sdxl.layout import Part

_STEMS: dict[Part, str] = {
    "unet": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}
_OTHER_SAMPLING = ("EDM", "FlowMatch")
"""How the schedulers are called of models with other noise levels than SDXL's."""


def read_folder(path: Path, *, half: bool) -> ModelFiles:
    """Read configurations and headers of all but the VAE; `half` prefers weights stored as fp16.

    Raises `CheckpointError` or `FileFormatError` unless they are those of an SDXL base model.
    """
    _refuse_what_is_no_model(path)
    config = _read_configs(path)
    files = {part: part_files(path / part, stem, half=half) for part, stem in _STEMS.items()}

    def part_of(part: Part, config: Config) -> PartFiles:
        spellings = spellings_of(part, config, original_first=False)
        return PartFiles(part, files[part], spellings, is_alone=True)

    config, note = with_layers_of(path.name, config, part_of("unet", config).names)
    parts = {part: part_of(part, config) for part in _STEMS}
    return ModelFiles(path, config, parts, tokenizer=path, notes=(note,) if note else ())


def _refuse_what_is_no_model(path: Path) -> None:
    if (path / INDEX).exists():
        return
    refuse_part_of_model(path)
    if not any(path.iterdir()):
        raise CheckpointError(f"{path}: the folder is empty.")
    if files := sorted(path.glob("*.safetensors")):
        raise CheckpointError(
            f"{path}: this is a folder of files and no diffusers model; give one of the files, "
            f"such as {files[0].name}."
        )


def _read_configs(path: Path) -> Config:
    index = read_config(path, INDEX)
    kind = str(index.get("_class_name"))
    if not kind.startswith("StableDiffusionXL") or "text_encoder_2" not in index:
        raise CheckpointError(f"{path}: the folder holds a {kind}; only SDXL can be opened.")
    config = sdxl_config()
    unet = config["unet"] = read_config(path, "unet/config.json")
    if index.get("text_encoder") in (None, [None, None]) or unet.get("in_channels") != 4:
        raise CheckpointError(
            f"{path}: this is SDXL's refiner or an inpainting model; open the base model."
        )
    config["text_encoder"] = read_config(path, "text_encoder/config.json")
    config["text_encoder_2"] = read_config(path, "text_encoder_2/config.json")
    if (path / "scheduler").is_dir():
        config["scheduler"] = read_config(path, "scheduler/scheduler_config.json")
    scheduler = str(config["scheduler"].get("_class_name"))
    if scheduler.startswith(_OTHER_SAMPLING):
        raise CheckpointError(
            f"{path}: this model is sampled with {scheduler}, at other noise levels than SDXL's, "
            "which is not supported; open another one."
        )
    return config
