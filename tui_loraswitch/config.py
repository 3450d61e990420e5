"""The config file: what loraswitch was started with the last time (TOML)."""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import tomli_w

from engine.reports import BackupChoice
from tui_loraswitch.settings import ImageSetting

DTYPES = ("auto", "float16", "bfloat16", "float32")
BACKUPS: tuple[BackupChoice, ...] = get_args(BackupChoice)
IMAGES: tuple[ImageSetting, ...] = get_args(ImageSetting)

_HEADER = "# What loraswitch was started with last. It changes values here, and keeps other keys.\n"
_CHOICES: Mapping[str, tuple[str, ...]] = {"dtype": DTYPES, "backup": BACKUPS, "images": IMAGES}
_PATHS = ("model", "output")
_FOLDERS = ("loras", "models")


class ConfigError(Exception):
    """The config file cannot be used; the text says where and what to do."""


@dataclass(frozen=True)
class Config:
    """The options that are remembered, by the names they have in the file."""

    model: Path | None = None
    """None opens the embedded demo."""
    loras: tuple[Path, ...] = ()
    models: tuple[Path, ...] = ()
    device: str = "auto"
    dtype: str = "auto"
    backup: BackupChoice = "auto"
    output: Path | None = None
    images: ImageSetting = "auto"


def load_config(path: Path) -> Config:
    """Read the file; one that is not there says nothing. Raises `ConfigError`."""
    text = _read_text(path)
    values: dict[str, Any] = {}
    for key, value in _parse(path, text).items():
        if key in _FOLDERS:
            if not isinstance(value, list) or not all(map(_may_be_path, value)):
                raise _wrong(path, text, key, f'a list of folders, such as ["~/{key}"]')
            values[key] = tuple(map(expanded, value))
        elif key in Config.__dataclass_fields__:
            if not isinstance(value, str):
                raise _wrong(path, text, key, "a text in quotes")
            if value not in _CHOICES.get(key, (value,)):
                raise _wrong(path, text, key, f"one of {', '.join(_CHOICES[key])}")
            if key in _PATHS and not _may_be_path(value):
                raise _wrong(path, text, key, "a path, which has no NUL character")
            values[key] = expanded(value) if key in _PATHS else value
    return Config(**values)


def remember(path: Path, choices: Mapping[str, object]) -> None:
    """Write choices, named as the fields of `Config`, into the file; all other keys stay.

    The file is written whole or not at all, and only when something changes. Raises OSError when
    it cannot be written, ValueError for a path that is not UTF-8, `ConfigError` when it is broken.
    """
    table = _parse(path, _read_text(path))
    changed = {**table, **{key: _plain(value) for key, value in choices.items()}}
    if changed == table:
        return
    # Dotfiles are often links into another folder: the link stays, its target is replaced.
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        partial.write_text(_HEADER + tomli_w.dumps(changed), encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def expanded(text: str) -> Path:
    """An absolute path, with `~` replaced by the home folder."""
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # no such user: the name is taken as written
        path = path.expanduser()
    return path.absolute()


def _may_be_path(value: object) -> bool:
    """False for what no system can open; whether it is there is another question."""
    return isinstance(value, str) and "\0" not in value


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return str(value)


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"{path}: the config file cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        raise _broken(path, f"line {line} is not UTF-8 text") from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The decoder's own words end in "(at line 3, column 7)".
        raise _broken(path, str(error)) from error


def _wrong(path: Path, text: str, key: str, expected: str) -> ConfigError:
    lines = text.splitlines()
    place = (n for n, line in enumerate(lines, 1) if re.match(rf"\s*[\"']?{key}\b", line))
    return _broken(path, f"line {next(place, 1)}: {key} must be {expected}")


def _broken(path: Path, fault: str) -> ConfigError:
    return ConfigError(
        f"{path}: the config file cannot be used: {fault}. Correct it, or delete it to start anew."
    )
