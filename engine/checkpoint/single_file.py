"""A checkpoint in one file, whole or in part, whatever its tensors are called."""

from __future__ import annotations

from pathlib import Path

from engine.checkpoint.config import Config, checkpoint_config, set_prediction
from engine.checkpoint.kinds import require_sdxl
from engine.checkpoint.locate import PartFiles
from engine.checkpoint.model_files import ModelFiles, open_weights
from engine.checkpoint.part_of_folder import refuse_part_of_folder
from engine.checkpoint.prediction_in_files import prediction_beside, prediction_in
from engine.checkpoint.spellings import spellings_of
from engine.checkpoint.unet_layers import with_layers_of
from engine.sdxl.layout import PARTS
from engine.sdxl.prediction import Prediction


def read_single_file(
    path: Path, like: Config | None = None, prediction: Prediction | None = None
) -> ModelFiles:
    """Read a checkpoint's header; parts that are not in the file are not in what is returned.

    A file that says nothing of its own sizes is taken to be `like` another model, or SDXL.
    Where the user says the `prediction`, nothing is looked for beside the file.
    Raises `CheckpointError` or `FileFormatError` when it is no SDXL.
    """
    refuse_part_of_folder(path)
    file = open_weights(path)
    parts = require_sdxl(path.name, file.header)
    config = checkpoint_config(path.name, file.header, like)
    notes = []
    if prediction is None and prediction_in(file.header) is None:
        found = prediction_beside(path)
        notes.append(found.note)
        if found.prediction is not None:
            set_prediction(config, found.prediction)
    unet = PartFiles("unet", (file,), spellings_of("unet", config, original_first=True))
    config, note = with_layers_of(path.name, _with_guidance_input(config, unet), unet.names)
    return ModelFiles(
        path,
        config,
        {
            part: PartFiles(part, (file,), spellings_of(part, config, original_first=True))
            for part in PARTS
            if part in parts
        },
        tokenizer=path.parent,
        notes=tuple(filter(None, (*notes, note))),
    )


def _with_guidance_input(config: Config, unet: PartFiles) -> Config:
    """The configuration of a model whose UNet takes the guidance as an input, if its file does.

    Latent consistency models were distilled so; a single file tells it by this tensor alone.
    """
    for name in ("time_embed.cond_proj.weight", "time_embedding.cond_proj.weight"):
        for file, key in unet.names.get(name, ()):
            if len(shape := file.header.tensors[key].shape) == 2:
                return {**config, "unet": {**config["unet"], "time_cond_proj_dim": shape[1]}}
    return config
