"""The options of the pictures to draw, with their prompts as they are drawn."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from tui_loraswitch.commands.outcome import say
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.resolving import Resolving, leaves_to_chance

_TEXTS = ("prompt", "negative", "hires_prompt", "hires_negative")


def resolved(args: argparse.Namespace, settings: AppSettings) -> Iterator[argparse.Namespace]:
    """Styles applied, and what is left to chance decided by the seed.

    A prompt without chance is one batch; of another, each picture is drawn by itself, since its
    seed decides its prompt. Raises `EngineError` for styles and wildcards that are not there.
    """
    resolving = Resolving(settings)
    prompt, negative = resolving.styled(args.prompt, args.negative, args.style)
    args = _with(args, prompt=prompt, negative=negative)
    texts = [getattr(args, name) for name in _TEXTS]
    if leaves_to_chance(texts):
        # A batch that is none is refused with the other options.
        for seed, drawn in resolving.choices(texts, args.seed, max(1, args.batch)):
            own = dict(zip(_TEXTS, drawn, strict=True))
            yield _with(args, **own, seed=seed, batch=min(args.batch, 1))
    else:
        yield args
    for note in resolving.notes:
        say(note)


def _with(args: argparse.Namespace, **changed: object) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(args), **changed})
