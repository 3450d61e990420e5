"""The prompts that are drawn: styles applied, and what is left to chance decided by the seed."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

from engine.errors import EngineError, FileFormatError
from engine.files.regular_file import read_regular
from engine.files.wildcards import Wildcards
from engine.words.prompt_language.chance import has_chance, resolve_chance
from engine.words.prompt_language.styles import Style, in_styles, parse_styles
from tui_loraswitch.commands.outcome import say
from tui_loraswitch.config.settings import AppSettings

MOST_RESOLVED = 100
"""Pictures of one line with prompts of their own; more than that do not fit into the queue."""
_LARGEST_STYLES = 16 << 20
_SEEDS = 1 << 32
_TEXTS = ("prompt", "negative", "hires_prompt", "hires_negative")


def resolved(args: argparse.Namespace, settings: AppSettings) -> Iterator[argparse.Namespace]:
    """The options of the pictures to draw, with their prompts as they are drawn.

    A prompt without chance is one batch; of another, each picture is drawn by itself, since its
    seed decides its prompt. Raises `EngineError` for styles and wildcards that are not there.
    """
    if args.style:
        styles = _styles(settings.styles)
        prompt, negative = in_styles(args.prompt, args.negative, args.style, styles)
        args = _with(args, prompt=prompt, negative=negative)
    texts = {name: getattr(args, name) for name in _TEXTS}
    if not any(map(has_chance, texts.values())):
        yield args
        return
    if args.batch > MOST_RESOLVED:
        raise EngineError(
            f"A batch of a prompt with choices in it goes up to {MOST_RESOLVED} pictures."
        )
    wildcards = Wildcards(settings.wildcards)
    seed = random.randrange(_SEEDS) if args.seed == -1 else args.seed
    notes: dict[str, None] = {}
    # A batch that is none is refused with the other options.
    for number in range(max(1, args.batch)):
        own = seed + number
        drawn: dict[str, str] = {}
        for name, text in texts.items():
            drawn[name], said = resolve_chance(text, own, wildcards.lines)
            notes.update(dict.fromkeys(said))
        yield _with(args, **drawn, seed=own, batch=min(args.batch, 1))
    for note in notes:
        say(note)


def _with(args: argparse.Namespace, **changed: object) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(args), **changed})


def _styles(path: Path | None) -> dict[str, Style]:
    if path is None:
        raise EngineError("A style needs a file of styles: --styles FILE.")
    try:
        styles, notes = parse_styles(read_regular(path, _LARGEST_STYLES).decode("utf-8"))
    except (OSError, UnicodeDecodeError, FileFormatError) as error:
        raise EngineError(f"The file of styles cannot be read: {path}: {error}") from error
    except EngineError as error:
        raise EngineError(f"{path}: {error}.") from error
    for note in notes:
        say(f"{path}: {note}")
    return styles
