"""The config file: what loraswitch was started with the last time (TOML)."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from msgspec import Struct, field

from engine.block_weights import block_numbers, parse_block_weights
from engine.errors import EngineError, FileFormatError
from engine.files.regular_file import read_regular
from engine.files.saving import replace_file
from engine.files.toml_text import parse_toml
from engine.protocol.modes import MODE_CHOICES, ModeChoice
from engine.protocol.reports import BackupChoice
from engine.protocol.request import (
    EMPTY_NEGATIVES,
    PICTURE_FORMATS,
    EmptyNegative,
    PictureFormat,
)
from engine.sdxl.prediction import PREDICTIONS, Prediction
from engine.words.lora_tags import TagOrder
from tui_loraswitch.config.audition import AuditionSettings, read_audition
from tui_loraswitch.config.key_presets import PRESETS
from tui_loraswitch.config.settings import IDLE_MINUTES, ImageSetting

DTYPES = ("auto", "float16", "bfloat16", "float32")
VAE_DTYPES = ("auto", "float32", "bfloat16")
BACKUPS: tuple[BackupChoice, ...] = get_args(BackupChoice)
IMAGES: tuple[ImageSetting, ...] = get_args(ImageSetting)
TAG_ORDERS: tuple[TagOrder, ...] = get_args(TagOrder)
SwitchedOn = Literal["off", "on"]
OFF_ON: tuple[SwitchedOn, ...] = get_args(SwitchedOn)
Compiling = Literal["off", "on", "graph"]
COMPILINGS: tuple[Compiling, ...] = get_args(Compiling)

_HEADER = "# What loraswitch was started with last. It changes values here, and keeps other keys.\n"
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "dtype": DTYPES,
    "vae_dtype": VAE_DTYPES,
    "backup": BACKUPS,
    "images": IMAGES,
    "tag_order": TAG_ORDERS,
    "mode": MODE_CHOICES,
    "compile": COMPILINGS,
    "empty_negative": EMPTY_NEGATIVES,
    "picture_format": PICTURE_FORMATS,
    "sidecars": OFF_ON,
    "civitai": OFF_ON,
}
_NUMBERS = {
    "idle_minutes": "a number of minutes, 0 or more",
    "picture_kib_per_second": "a number of KiB, 0 or more",
}
"""What may be 0 or any number above."""
_PATHS = ("model", "output", "vae", "parts_from", "wildcards", "styles")
_PATHS_OR_AUTO = ("vae", "parts_from")
_FOLDERS = ("loras", "models", "embeddings", "pictures")
_AUDITION = "audition"
_BLOCK_WEIGHTS = "block_weights"
_PREDICTIONS = "predictions"
_KEYS = "keys"
MAX_BYTES = 1_000_000
_NOT_IN_PRESET_NAMES = frozenset(",=:<>")
"""What would be numbers, or the end of a tag, where block weights are typed."""


class ConfigError(Exception):
    """The config file cannot be used; the text says where and what to do."""


class Config(Struct, frozen=True):
    """The options that are remembered, by the names they have in the file."""

    model: Path | None = None
    """None opens the embedded demo."""
    loras: tuple[Path, ...] = ()
    models: tuple[Path, ...] = ()
    embeddings: tuple[Path, ...] = ()
    """Folders of textual inversions."""
    pictures: tuple[Path, ...] = ()
    """Folders of pictures for the gallery, beside `output`; only the file says them."""
    wildcards: Path | None = None
    """The folder of wildcard files for dynamic prompts."""
    styles: Path | None = None
    """A1111's `styles.csv`."""
    device: str = "auto"
    dtype: str = "auto"
    backup: BackupChoice = "auto"
    output: Path | None = None
    images: ImageSetting = "auto"
    vae: Path | Literal["auto"] = "auto"
    """`auto` is the model's own."""
    vae_dtype: str = "auto"
    parts_from: Path | Literal["auto"] = "auto"
    """`auto`: a model without text encoders is refused."""
    mode: ModeChoice = "auto"
    compile: Compiling = "off"
    empty_negative: EmptyNegative = "zeros"
    picture_format: PictureFormat = "png"
    picture_names: str = ""
    """A pattern of folders and names, such as `[date]/[seed]-[lora]`."""
    tag_order: TagOrder = "te, unet"
    """What two strengths in a `<lora:…>` tag mean; only the file says it."""
    sidecars: SwitchedOn = "off"
    """Whether own notes and strengths are written beside the files; only the file says it."""
    civitai: SwitchedOn = "off"
    """Whether Civitai may be asked about a file; only the file says it."""
    idle_minutes: float = IDLE_MINUTES
    """How long a host without clients and work goes on, 0 is for ever; only the file says it."""
    picture_kib_per_second: float = 0.0
    """What pictures may take of the link to the terminal, 0 is all; only the file says it."""
    audition: AuditionSettings = field(default_factory=AuditionSettings)
    """How pictures are drawn while the cursor moves: `steps`, `size`, `lora` (a file for few
    steps), `sampler`, `cfg_scale`, `kib_per_second`; only the file says it."""
    block_weights: Mapping[str, str] = field(default_factory=dict)
    """The user's own presets by name, as 12 or 20 numbers; only the file says them."""
    theme: str = ""
    """The colours; empty: those chosen last in the app. Only the file says it."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """`preset`, and keys by the name of what they do; only the file says them."""
    predictions: Mapping[Path, Prediction] = field(default_factory=dict)
    """What models predict whose files do not say it, or say it wrongly."""


def load_config(path: Path) -> Config:
    """Read the file; one that is not there says nothing. Raises `ConfigError`."""
    text = _read_text(path)
    values: dict[str, Any] = {}
    for key, value in _parse(path, text).items():
        if key in _FOLDERS:
            if not isinstance(value, list) or not all(map(_may_be_path, value)):
                raise _wrong(path, text, key, f'a list of folders, such as ["~/{key}"]')
            values[key] = tuple(map(expanded, value))
        elif key == _BLOCK_WEIGHTS:
            values[key] = _presets(path, text, value)
        elif key == _PREDICTIONS:
            values[key] = _predictions(path, text, value)
        elif key == _KEYS:
            values[key] = _key_table(path, text, value)
        elif key == _AUDITION:
            try:
                values[key] = read_audition(value, expanded)
            except ValueError as error:
                raise _wrong(path, text, key, str(error)) from error
        elif key in _NUMBERS:
            if type(value) not in (int, float) or not 0 <= value < math.inf:
                raise _wrong(path, text, key, _NUMBERS[key])
            values[key] = float(value)
        elif key in Config.__struct_fields__:
            if not isinstance(value, str):
                raise _wrong(path, text, key, "a text in quotes")
            if value not in _CHOICES.get(key, (value,)):
                raise _wrong(path, text, key, f"one of {_listed(_CHOICES[key])}")
            if key in _PATHS and not _may_be_path(value):
                raise _wrong(path, text, key, "a path, which has no NUL character")
            is_path = key in _PATHS and not (key in _PATHS_OR_AUTO and value == "auto")
            values[key] = expanded(value) if is_path else value
    return Config(**values)


def misspelt_names(path: Path) -> Iterator[str]:
    """Sentences on names at the top of the file that are nearly those of settings, and say nothing.

    Other names are others' business, and stay unsaid. Raises `ConfigError` for a broken file.
    """
    names = Config.__struct_fields__
    unknown = [name for name in _parse(path, _read_text(path)) if name not in names]
    if not unknown:
        return
    import difflib

    for name in unknown:
        near = difflib.get_close_matches(name.replace("-", "_").lower(), names, n=1, cutoff=0.8)
        if near:
            yield f"{path}: “{name}” is no setting, and is left out; is {near[0]} meant?"


def remember(path: Path, choices: Mapping[str, object]) -> None:
    """Write choices, named as the fields of `Config`, into the file; all other keys stay.

    The file is written whole or not at all, and only when something changes. Raises OSError when
    it cannot be written, ValueError for a path that is not UTF-8, `ConfigError` when it is broken.
    """
    import tomli_w

    table = _parse(path, _read_text(path))
    changed = {**table, **{key: _plain(value) for key, value in choices.items()}}
    if changed == table:
        return
    try:
        changed_text = _HEADER + tomli_w.dumps(changed)
    except RecursionError as error:
        raise _broken(path, "it is nested too deeply") from error
    # What is written here can be read the next time.
    _parse(path, changed_text)
    try:
        content = changed_text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("a path is no UTF-8 text, and the file takes no other") from error
    replace_file(path, content)


def expanded(text: str) -> Path:
    """An absolute path, with `~` replaced by the home folder."""
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # no such user: the name is taken as written
        path = path.expanduser()
    return path.absolute()


def _presets(path: Path, text: str, table: object) -> dict[str, str]:
    """The presets of block weights, each as numbers, whatever form it was written in."""
    if not isinstance(table, dict):
        raise _wrong(path, text, _BLOCK_WEIGHTS, 'a table with lines such as FACE = "1,0,…"')
    presets: dict[str, str] = {}
    for name, value in table.items():
        if not name.strip() or not _NOT_IN_PRESET_NAMES.isdisjoint(name):
            raise _wrong(path, text, name, "a name without , = : < and >")
        if not isinstance(value, str):
            raise _wrong(path, text, name, "block weights in quotes")
        try:
            presets[name] = block_numbers(parse_block_weights(value))
        except EngineError as error:
            reason = str(error).rstrip(".")
            raise _wrong(path, text, name, f"block weights ({reason})") from error
    return presets


def _predictions(path: Path, text: str, table: object) -> dict[Path, Prediction]:
    """What models predict, by their paths."""
    example = 'a table with lines such as "/models/x.safetensors" = "v"'
    if not isinstance(table, dict) or not all(map(_may_be_path, table)):
        raise _wrong(path, text, _PREDICTIONS, example)
    for value in table.values():
        if value not in PREDICTIONS:
            raise _wrong(path, text, _PREDICTIONS, f"{example}, of {', '.join(PREDICTIONS)}")
    return {expanded(model): value for model, value in table.items()}


def _key_table(path: Path, text: str, table: object) -> dict[str, str]:
    """Keys by what they do; dots in the names make tables of them unless they are quoted."""
    example = 'a table with lines such as preset = "vim" or app.zoom = "z, ctrl+z"'
    if not isinstance(table, dict):
        raise _wrong(path, text, _KEYS, example)
    keys: dict[str, str] = {}
    for name, value in table.items():
        group = (
            {f"{name}.{key}": one for key, one in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
        for full_name, one in group.items():
            if not isinstance(one, str) or not one.strip():
                raise _wrong(path, text, full_name, "keys in quotes")
        keys |= group
    if keys.get("preset", "default") not in PRESETS:
        raise _wrong(path, text, "preset", f"one of {', '.join(PRESETS)}")
    return keys


def _listed(choices: tuple[str, ...]) -> str:
    """Choices one after the other, in quotes where they have commas of their own."""
    has_commas = any("," in choice for choice in choices)
    return ", ".join(f'"{choice}"' if has_commas else choice for choice in choices)


def _may_be_path(value: object) -> bool:
    """False for what no system can open; whether it is there is another question."""
    return isinstance(value, str) and "\0" not in value


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [str(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): str(item) for key, item in value.items()}
    return str(value)


def _read_text(path: Path) -> str:
    try:
        # Windows' editors write a mark before the text.
        return read_regular(path, MAX_BYTES).decode("utf-8-sig") if _is_there(path) else ""
    except (OSError, FileFormatError) as error:
        raise ConfigError(f"The config file cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        raise _broken(path, f"line {line} is not UTF-8 text") from error


def _is_there(path: Path) -> bool:
    """Whether there is something, be it a link in a circle, that hides what the user has set."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise _broken(path, str(error)) from error


def _wrong(path: Path, text: str, key: str, expected: str) -> ConfigError:
    # Only a preset can stand in the middle of a line, which then begins with the table's name.
    begins = (
        re.compile(rf"[\s\[]*[\"']?{re.escape(name)}[\"']?\s*[=.\]]")
        for name in (key, key.rpartition(".")[2], _BLOCK_WEIGHTS, _KEYS)
    )
    lines = list(enumerate(text.splitlines(), 1))
    places = (number for begin in begins for number, line in lines if begin.match(line))
    return _broken(path, f"line {next(places, 1)}: {key} must be {expected}")


def _broken(path: Path, fault: str) -> ConfigError:
    return ConfigError(
        f"{path}: the config file cannot be used: {fault}. Correct it, or delete it to start anew."
    )
