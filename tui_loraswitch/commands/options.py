"""Options that several commands share, and the settings they come to with the config file."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import structs

from engine.block_weights import PRESETS
from engine.demo import DEMO_LORAS
from engine.errors import EngineError, FileFormatError
from engine.protocol.modes import MODE_CHOICES
from engine.protocol.request import EMPTY_NEGATIVES, PICTURE_FORMATS
from engine.sdxl.prediction import PREDICTION_CHOICES
from tui_loraswitch.commands.outcome import UsageError, say
from tui_loraswitch.commands.path_kinds import is_file, is_folder, why_no_file
from tui_loraswitch.commands.places import config_path, index_path, state_path
from tui_loraswitch.config.config import (
    BACKUPS,
    COMPILINGS,
    DTYPES,
    IMAGES,
    VAE_DTYPES,
    Config,
    expanded,
    load_config,
    misspelt_names,
)
from tui_loraswitch.config.settings import AppSettings

if TYPE_CHECKING:
    from engine.lora.identify import Identity

DEFAULT_OUTPUT = Path("outputs")

# Options stand before and after the name of a command: one that is not given after it must not
# hide the one given before.
_ABSENT = argparse.SUPPRESS


def add_drawing_options(parser: argparse.ArgumentParser) -> None:
    """What each command that draws needs to know: which files there are, and on what to draw."""
    add_empty_negative_option(parser)
    add_output_option(parser)
    add_library_option(parser)
    add_embeddings_option(parser)
    add_wildcards_and_styles_options(parser)
    add_model_options(parser)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Which model to open, and on what."""
    group = parser.add_argument_group("model")
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--model",
        metavar="FILE_OR_FOLDER",
        type=expanded,
        default=_ABSENT,
        help="an SDXL checkpoint (.safetensors) or a diffusers folder",
    )
    which.add_argument(
        "--demo",
        action="store_true",
        default=_ABSENT,
        help="open the embedded demo with its LoRAs; what is remembered is not used and stays",
    )
    add_device_option(group)
    group.add_argument(
        "--dtype",
        choices=DTYPES,
        default=_ABSENT,
        help="type of the weights; auto is float16 on a GPU and float32 on a CPU",
    )
    group.add_argument(
        "--backup",
        choices=BACKUPS,
        default=_ABSENT,
        help="where the base weights of changed layers are kept; device is as many on the GPU as "
        "leave room to draw, the rest in main memory, cpu saves GPU memory, file "
        "needs none at all (they are read from the model's file again), auto (the default) "
        "decides by what is free",
    )
    group.add_argument(
        "--mode",
        choices=MODE_CHOICES,
        metavar="MODE",
        default=_ABSENT,
        help="how the model shares the GPU's memory: resident (all of it stays there; 16 GB and "
        "more, or 12 with the VAE in bfloat16), tiled (large pictures are decoded in tiles; 10 "
        "GB), encoder-offload (its text encoders visit the GPU for each new prompt; 8 GB), "
        "model-offload (its networks take turns; 7 GB), group-offload (its layers take turns; 6 GB "
        "and less), auto (the default) decides by what is free",
    )
    group.add_argument(
        "--compile",
        choices=COMPILINGS,
        default=_ABSENT,
        help="on has PyTorch compile the UNet, which needs a C++ compiler and makes the first "
        "picture of each size slow; graph repeats its steps as CUDA graphs, which spares a GPU the "
        "waiting for Python; off by default",
    )

    group.add_argument(
        "--vae",
        metavar="FILE",
        type=_path_or_auto,
        default=_ABSENT,
        help="a VAE in place of the model's own: a .safetensors file or a diffusers folder; auto "
        "(the default) takes the model's own",
    )
    group.add_argument(
        "--vae-dtype",
        choices=VAE_DTYPES,
        default=_ABSENT,
        help="type of the VAE; auto (the default) is bfloat16 on NVIDIA's GPUs from sm_80 (RTX 30) "
        "on, unless the model is float32, else float32; bfloat16 takes half the memory and "
        "changes colours a little: with the demo's VAE by up to 11 of 255, 2 to 3 in the mean",
    )
    group.add_argument(
        "--parts-from",
        metavar="MODEL",
        type=_path_or_auto,
        default=_ABSENT,
        help="a whole SDXL model, file or folder, whose text encoders and VAE are used for one "
        "that has none, such as a UNet alone; auto (the default) refuses such a model",
    )
    group.add_argument(
        "--prediction",
        choices=PREDICTION_CHOICES,
        default=_ABSENT,
        help="what the model predicts, where its files do not say it or say it wrongly, which "
        "makes pictures of noise: epsilon, v, or v-zsnr (v with zero terminal SNR); auto (the "
        "default) believes the files; remembered for each model",
    )


def add_device_option(parser: argparse._ActionsContainer) -> None:
    """On what the model runs, or whose host is meant."""
    parser.add_argument(
        "--device",
        type=_device,
        default=_ABSENT,
        help="cpu, cuda, cuda:1, mps; auto (the default) takes a GPU when there is one",
    )


def add_embeddings_option(parser: argparse.ArgumentParser) -> None:
    """Which folders hold textual inversions."""
    parser.add_argument(
        "--embeddings",
        metavar="FOLDER",
        type=expanded,
        action="append",
        default=_ABSENT,
        help="a folder of embeddings (textual inversions) for prompts to name, with its "
        "subfolders; give it again for more folders",
    )


def add_wildcards_and_styles_options(parser: argparse.ArgumentParser) -> None:
    """Where dynamic prompts find wildcards, and the file of styles."""
    parser.add_argument(
        "--wildcards",
        metavar="FOLDER",
        type=expanded,
        default=_ABSENT,
        help="a folder of text files: __name__ in a prompt is a line of name.txt in it",
    )
    parser.add_argument(
        "--styles",
        metavar="FILE",
        type=expanded,
        default=_ABSENT,
        help="a file of styles for --style, as A1111's styles.csv",
    )


def add_empty_negative_option(parser: argparse.ArgumentParser) -> None:
    """What stands for an empty negative prompt."""
    parser.add_argument(
        "--empty-negative",
        choices=EMPTY_NEGATIVES,
        default=_ABSENT,
        help="what stands for an empty negative prompt: zeros (the default; as A1111, Forge and "
        "diffusers have it), or the encoded empty text (as ComfyUI has it)",
    )


def add_library_option(parser: argparse.ArgumentParser) -> None:
    """Which folders hold the LoRAs."""
    parser.add_argument(
        "--loras",
        metavar="FOLDER",
        type=expanded,
        action="append",
        default=_ABSENT,
        help="a folder of LoRAs, with its subfolders; give it again for more folders",
    )


def add_models_option(parser: argparse.ArgumentParser) -> None:
    """Which folders hold the models that the app offers."""
    parser.add_argument(
        "--models",
        metavar="FOLDER",
        type=expanded,
        action="append",
        default=_ABSENT,
        help="a folder of checkpoints, with its subfolders, for the app's key m to choose from; "
        "give it again for more folders",
    )


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Where pictures go."""
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        type=expanded,
        default=_ABSENT,
        help="folder for pictures, made when the first is saved; without it ./outputs below the "
        "folder you start loraswitch in, where scp and rsync find them",
    )
    parser.add_argument(
        "--picture-format",
        choices=PICTURE_FORMATS,
        default=_ABSENT,
        help="how pictures are written: png (the default), jpeg or webp, each with its infotext",
    )
    parser.add_argument(
        "--picture-names",
        metavar="PATTERN",
        type=_pattern,
        default=_ABSENT,
        help="folders and names below --output, such as [date]/[seed]-[lora]; fields: [number], "
        "[seed], [date], [time], [lora], [loras], [strength], [model], [sampler], [schedule], "
        "[steps], [cfg], [width], [height], [prompt_words] and others; default: [number]-[seed]",
    )


def add_images_option(parser: argparse.ArgumentParser) -> None:
    """How the app draws pictures."""
    parser.add_argument(
        "--images",
        choices=IMAGES,
        default=_ABSENT,
        help="how pictures are drawn in the terminal; auto (the default) asks it what it can do",
    )


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"“{text}” is no device; use auto, cpu, mps, cuda, cuda:1")
    return text


def _pattern(text: str) -> str:
    try:
        # Here: most starts name no pattern.
        from engine.generate.file_names import check_pattern

        check_pattern(text)
    except EngineError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _path_or_auto(text: str) -> Path | Literal["auto"]:
    return "auto" if text == "auto" else expanded(text)


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """The remembered options that were given this time, by the names they have in `Config`."""
    given = {name: getattr(args, name, None) for name in Config.__struct_fields__}
    for name in ("loras", "models", "embeddings"):
        given[name] = tuple(given[name] or ()) or None
    return {name: value for name, value in given.items() if value is not None}


def settings_from(args: argparse.Namespace) -> AppSettings:
    """Put together what was given, what is remembered, and the defaults.

    Raises `ConfigError` for a broken config file and `UsageError` for a path given now that cannot
    be opened; what is only remembered may have gone meanwhile, and is left to the engine.
    """
    config = load_config(config_path())
    for words in misspelt_names(config_path()):
        say(words)
    given = given_options(args)
    _check_paths(given)
    remembered = config.model
    if getattr(args, "demo", False):
        # Other models' embeddings and VAEs do not fit the demo.
        config = structs.replace(
            config, model=None, loras=(), embeddings=(), vae="auto", parts_from="auto"
        )
    config = structs.replace(config, **given)
    if "model" in given:
        _require_parts(given["model"], config)
    settings = AppSettings(
        model=config.model,
        loras=config.loras if config.model else (*config.loras, DEMO_LORAS),
        device=None if config.device == "auto" else config.device,
        dtype=None if config.dtype == "auto" else config.dtype,
        output=config.output or DEFAULT_OUTPUT.absolute(),
        image_protocol=config.images,
        index_path=index_path(),
        state_path=state_path(),
        backup=config.backup,
        models=config.models,
        remembered_model=remembered,
        config_path=config_path(),
        embeddings=config.embeddings,
        pictures=config.pictures,
        picture_format=config.picture_format,
        picture_names=config.picture_names,
        wildcards=config.wildcards,
        styles=config.styles,
        vae=None if config.vae == "auto" else config.vae,
        vae_dtype=None if config.vae_dtype == "auto" else config.vae_dtype,
        parts_from=None if config.parts_from == "auto" else config.parts_from,
        predictions=dict(config.predictions.items()),
        mode=config.mode,
        compiled=config.compile == "on",
        graphs=config.compile == "graph",
        own_engine=getattr(args, "own_engine", False),
        model_is_named="model" in given or hasattr(args, "demo"),
        is_first_start=config.model is None and not hasattr(args, "demo"),
        tag_order=config.tag_order,
        empty_negative=config.empty_negative,
        idle_minutes=config.idle_minutes,
        picture_kib_per_second=config.picture_kib_per_second,
        keys=config.keys,
        theme=config.theme,
        audition=config.audition,
        writes_sidecars=config.sidecars == "on",
        asks_civitai=config.civitai == "on",
        block_weights={**PRESETS, **config.block_weights},
    )
    prediction = getattr(args, "prediction", None)
    return settings if prediction is None else settings.predicting(settings.model, prediction)


def _check_paths(given: dict[str, Any]) -> None:
    for option in ("loras", "models", "embeddings"):
        for folder in given.get(option, ()):
            if is_file(folder):
                raise UsageError(f"--{option} {folder}: this is a file, not a folder.")
            if not is_folder(folder):
                raise UsageError(
                    f"--{option} {folder}: there is no such folder, or it is closed to you."
                )
    if "wildcards" in given and not is_folder(given["wildcards"]):
        raise UsageError(f"--wildcards {given['wildcards']}: there is no such folder.")
    if "styles" in given and not is_file(given["styles"]):
        raise UsageError(f"--styles {given['styles']}: {why_no_file(given['styles'])}.")
    if "model" in given:
        _check_model("--model", given["model"])
    if isinstance(model := given.get("parts_from"), Path):
        _check_model("--parts-from", model)
    if isinstance(vae := given.get("vae"), Path):
        _check_vae(vae)


def _identity(path: Path) -> Identity:
    from engine.files.header import read_header
    from engine.lora.identify import identify

    return identify(read_header(path))


def _check_model(option: str, path: Path) -> None:
    if is_folder(path):
        if not is_file(path / "model_index.json"):
            raise UsageError(
                f"{option} {path}: this folder is no diffusers model (it has no model_index.json); "
                "name a .safetensors file, or give a folder of LoRAs with --loras."
            )
        return
    try:
        identity = _identity(path)
    except FileFormatError as error:
        raise UsageError(f"{option} {error}") from error
    if identity.kind == "lora":
        raise UsageError(
            f"{option} {path}: this is a LoRA, not a model; name its folder with --loras."
        )
    if identity.kind not in ("checkpoint", "unet"):
        raise UsageError(f"{option} {path}: this is {identity.words}, not an SDXL checkpoint.")
    if identity.base_model not in ("", "SDXL"):
        raise UsageError(
            f"{option} {path}: this is a model of the kind {identity.base_model}; "
            "only SDXL can be opened."
        )


def _require_parts(path: Path, config: Config) -> None:
    """Raise `UsageError` for a UNet alone, unless a model is named that completes it."""
    if is_file(path) and config.parts_from == "auto" and _identity(path).kind == "unet":
        raise UsageError(
            f"--model {path}: this is a UNet alone; name a whole SDXL model whose text encoders "
            "and VAE it is to use: --parts-from MODEL."
        )


def _check_vae(path: Path) -> None:
    if is_folder(path):
        if not is_file(path / "config.json"):
            raise UsageError(
                f"--vae {path}: this folder is no VAE of diffusers (it has no config.json)."
            )
        return
    try:
        identity = _identity(path)
    except FileFormatError as error:
        raise UsageError(f"--vae {error}") from error
    # A whole checkpoint has a VAE in it, too.
    if identity.kind not in ("vae", "checkpoint", "unet"):
        raise UsageError(f"--vae {path}: this is {identity.words}, not a VAE.")
