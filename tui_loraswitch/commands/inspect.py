"""`loraswitch inspect`: what one file is, and what a LoRA would change in a model."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.demo import DEMO_LORAS, DEMO_MODEL
from engine.errors import EngineError
from engine.files.header import Header, read_header
from engine.generate.picture_said import read_picture
from engine.library.beside import Beside
from engine.library.entry import LibraryEntry
from engine.library.read_entry import read_entry
from engine.library.walk import FoundFile, mtime_of
from engine.lora.identify import Identity, identify
from engine.lora.key_names import Module, group_modules, part_of
from engine.protocol.text import file_size, plural
from engine.words.clean import clean_line
from tui_loraswitch.commands.effect_words import effect_fields, likeness_words
from tui_loraswitch.commands.entry_json import entry_as_json
from tui_loraswitch.commands.fit_words import fit_as_json, fit_fields
from tui_loraswitch.commands.inspect_picture import (
    is_picture,
    picture_as_json,
    picture_fields,
)
from tui_loraswitch.commands.options import settings_from
from tui_loraswitch.commands.outcome import OK
from tui_loraswitch.config.config import DTYPES, expanded

if TYPE_CHECKING:
    from engine.switch.examine import Examination

DESCRIPTION = """\
Tell what a safetensors file is and for which base model, with the reason; for
a LoRA also its families, rank, parts, trigger words, metadata and modules, and
how it fits: which modules are in the model and which are not, bytes to write,
values that are not finite. Nothing in the file can run.

A LoRA is fitted to SDXL in its real size, of which no file is needed; with
--model to that model, with --demo (and for the demo's own LoRAs) to the demo.
One that does not fit is no error: the exit code is 0 when the file can be read.

Of a picture (PNG, JPEG, WebP) it tells prompt, settings, LoRAs with their
hashes, and which program made it: loraswitch, A1111, Forge, ComfyUI, SwarmUI,
Fooocus, InvokeAI and others.
"""

EXAMPLES = """\
examples:
  loraswitch inspect neon.safetensors
  loraswitch inspect neon.safetensors --modules | less
  loraswitch inspect neon.safetensors --json | jq .fit.refusal
  loraswitch inspect neon.safetensors --model my_sdxl.safetensors
  loraswitch inspect outputs/00042-7.png
"""

_LABEL_WIDTH = 13


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "file", metavar="FILE", type=expanded, help="a .safetensors file, or a picture"
    )
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        type=Path,
        metavar="OTHER",
        help="tell how alike the changes of this LoRA and another one are",
    )
    parser.add_argument(
        "--modules", action="store_true", help="list the modules as well, one a line"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, with all metadata and modules"
    )
    group = parser.add_argument_group("model")
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--model",
        metavar="FILE_OR_FOLDER",
        type=expanded,
        default=argparse.SUPPRESS,
        help="the SDXL checkpoint or diffusers folder to fit a LoRA to; its weights are not read",
    )
    which.add_argument(
        "--demo", action="store_true", default=argparse.SUPPRESS, help="fit it to the embedded demo"
    )
    group.add_argument(
        "--dtype",
        choices=DTYPES,
        default=argparse.SUPPRESS,
        help="type of the model's weights; auto is float16",
    )


def run(args: argparse.Namespace) -> int:
    """Print what the header says, then what a LoRA would change."""
    path: Path = args.file
    if is_picture(path):
        return _inspect_picture(path, args.json)
    header = read_header(path)
    identity = identify(header)
    entry = read_entry(_found(path))
    modules = group_modules(header.tensors)
    model = _model(args)
    if args.json:
        fit = _examine(args, model) if identity.modules else None
        print(json.dumps(_as_json(header, identity, entry, modules, fit), indent=2))
        return OK
    print(clean_line(str(path)))
    for label, value in _summary(header, identity, entry, modules):
        _print_field(label, value)
    if identity.modules:
        # What is known is shown at once: the fit waits for torch.
        sys.stdout.flush()
        for label, value in fit_fields(_examine(args, model)):
            _print_field(label, value)
    if identity.modules:
        for label, value in effect_fields(path):
            _print_field(label, value)
    for other in args.beside:
        _print_field("beside", likeness_words(path, other))
    if entry.metadata:
        print("\nmetadata")
        for key, value in entry.metadata:
            _print_field(key, value)
    if args.modules:
        print("\nmodules")
        for name, module in modules.items():
            print(f"  {clean_line(name)}  {_module_words(module)}")
    return OK


def _inspect_picture(path: Path, as_json: bool) -> int:
    said = read_picture(path)
    if as_json:
        print(json.dumps(picture_as_json(path, said), indent=2))
        return OK
    print(clean_line(str(path)))
    for label, value in picture_fields(said):
        _print_field(label, value)
    return OK


def _model(args: argparse.Namespace) -> Path | None:
    """The model a LoRA is fitted to; None for SDXL in its real size."""
    if getattr(args, "model", None) is not None:
        return settings_from(args).model
    own = DEMO_LORAS.resolve() in args.file.resolve().parents
    return DEMO_MODEL if own or getattr(args, "demo", False) else None


def _examine(args: argparse.Namespace, model: Path | None) -> Examination:
    from engine.generate.quiet import quiet_libraries

    # diffusers logs while it is imported.
    quiet_libraries()
    from engine.switch.examine import examine

    dtype = getattr(args, "dtype", "auto")
    return examine(args.file, model, "float16" if dtype == "auto" else dtype)


def _found(path: Path) -> FoundFile:
    """The file as the library's walk would have found it, whatever its ending."""
    try:
        status = path.stat()
        beside = Beside(item.name for item in path.parent.iterdir())
    except OSError as error:
        raise EngineError(f"{path}: cannot be read ({error.strerror}).") from error
    sidecars, previews = beside.paths_of(path.parent, path.stem)
    return FoundFile(
        path=path,
        root=path.parent,
        size=status.st_size,
        mtime_ns=mtime_of(status),
        inode=status.st_ino,
        sidecars=sidecars,
        previews=previews,
    )


def _summary(
    header: Header, identity: Identity, entry: LibraryEntry, modules: Mapping[str, Module]
) -> Iterator[tuple[str, str]]:
    """Labels and values; empty ones are left out when printed."""
    _, kind = identity.words.split(" ", 1)  # without its article
    yield "kind", kind
    base = entry.base_label or identity.base_model or "cannot be told"
    evidence = entry.base_evidence or identity.evidence
    yield "base model", f"{base} ({evidence})" if evidence else base
    yield "families", _counted(identity.families)
    yield "rank", _rank_words(entry)
    yield "parts", _counted(Counter(map(part_of, modules)).most_common())
    dtypes = Counter(info.dtype for info in header.tensors.values())
    yield "size", f"{file_size(header.file_size)} · {plural(len(header.tensors), 'tensor')}"
    yield "types", _counted(dtypes.most_common())
    yield "title", _said(entry, "title", entry.title)
    yield "author", _said(entry, "author", entry.author)
    yield "licence", entry.licence
    for group in entry.trigger_words:
        yield "trigger words", f"{', '.join(group.words)} ({group.source})"
    if entry.preferred_strength is not None:
        words = f"{entry.preferred_strength:g} is recommended"
        yield "strength", _said(entry, "preferred_strength", words)
    yield "negative text", entry.negative_text
    yield "tags", ", ".join(f"{tag} {count}" if count else tag for tag, count in entry.tags)
    yield "preview", str(next(iter(entry.previews), ""))
    yield "description", _said(entry, "description", entry.description)
    yield "notes", _said(entry, "notes", entry.notes)
    for problem in entry.problems:
        yield "not read", problem


def _said(entry: LibraryEntry, name: str, words: str) -> str:
    """The words with who says them, where several programs may."""
    who = entry.said_by(name)
    return f"{words} ({who})" if words and who not in ("", "header") else words


def _counted(counts: tuple[tuple[str, int], ...] | list[tuple[str, int]]) -> str:
    return ", ".join(f"{name or 'other'} {count}" for name, count in counts)


def _rank_words(entry: LibraryEntry) -> str:
    if entry.rank is None:
        return ""
    return f"{entry.rank}, alpha {entry.alpha:g}" if entry.alpha is not None else str(entry.rank)


def _module_words(module: Module) -> str:
    shapes = (f"{role} {'×'.join(map(str, info.shape))}" for role, info in module.tensors.items())
    return f"{module.family}  {', '.join(shapes)}"


def _print_field(label: str, value: str) -> None:
    """Print a label and its value; on a terminal long values are wrapped beside the label."""
    if not value:
        return
    start = f"  {clean_line(label):{_LABEL_WIDTH}} "
    if not sys.stdout.isatty():
        print(start + clean_line(value))
        return
    width = max(40, shutil.get_terminal_size().columns - 1)
    indent = " " * (_LABEL_WIDTH + 3)
    print(textwrap.fill(clean_line(value), width, initial_indent=start, subsequent_indent=indent))


def _as_json(
    header: Header,
    identity: Identity,
    entry: LibraryEntry,
    modules: Mapping[str, Module],
    fit: Examination | None,
) -> dict[str, Any]:
    return {
        "kind": identity.kind,
        **entry_as_json(entry),
        "base_model": entry.base_model or identity.base_model,
        "base_evidence": entry.base_evidence or identity.evidence,
        "families": dict(identity.families),
        "fit": fit and fit_as_json(fit),
        "metadata": dict(header.metadata),
        "modules": [
            {
                "name": name,
                "part": part_of(name),
                "family": module.family,
                "rank": module.rank,
                "tensors": {
                    role: {"dtype": info.dtype, "shape": list(info.shape)}
                    for role, info in module.tensors.items()
                },
            }
            for name, module in modules.items()
        ],
    }
