"""The demo's words: those it was trained on, each one token, told where prompts are written."""

from __future__ import annotations

import pytest
import torch

from engine.checkpoint import open_checkpoint
from engine.demo import DEMO_MODEL, vocabulary
from tui_loraswitch.cli import main


def test_every_word_is_one_token() -> None:
    tokenizer = open_checkpoint(DEMO_MODEL, device="cpu", dtype=torch.float32).pipeline.tokenizer
    phrases = (
        *vocabulary.THINGS, *vocabulary.COLOURS, *vocabulary.SIZES, *vocabulary.PLACES,
        *vocabulary.GROUNDS, *vocabulary.EXAMPLES,
    )  # fmt: skip
    for word in {word for phrase in phrases for word in phrase.replace(",", "").split()}:
        assert len(tokenizer.tokenize(word)) == 1, word


def test_help_lists_every_word_in_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    told = text.split("words that the demo knows")[1].split("\nfiles:")[0]
    for word in (*vocabulary.THINGS, *vocabulary.COLOURS, *vocabulary.PLACES, *vocabulary.GROUNDS):
        assert word in " ".join(told.split()), word
    assert max(map(len, told.splitlines())) <= 80
