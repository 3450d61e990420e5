"""CLIP's tokenizers: the ids of OpenAI's own, and tables from folders in both their forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from engine.checkpoint.tokenizers import open_tokenizers
from engine.errors import CheckpointError

TABLE = json.loads((Path(__file__).parent / "openai_clip_tokens.json").read_text("utf-8"))["ids"]
"""Ids of 50 prompts as OpenAI's tokenizer gives them (`source` in the file says how)."""


@pytest.fixture(scope="module")
def clip() -> tuple[CLIPTokenizer, CLIPTokenizer]:
    return open_tokenizers(Path(), "sdxl", 49_408)


@pytest.mark.parametrize("prompt", TABLE)
def test_ids_are_openais(clip: tuple[CLIPTokenizer, CLIPTokenizer], prompt: str) -> None:
    for tokenizer in clip:
        assert tokenizer(prompt).input_ids == [49406, *TABLE[prompt], 49407]


def test_padding(clip: tuple[CLIPTokenizer, CLIPTokenizer]) -> None:
    """SDXL's first encoder is padded with the end token, its second with `!`."""
    first, second = (t("a cat", padding="max_length").input_ids for t in clip)
    assert first == [49406, 320, 2368, *[49407] * 74]
    assert second == [49406, 320, 2368, 49407, *[0] * 73]


WORDS = {"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "ab</w>": 4}
SPECIAL = {"<|startoftext|>": 5, "<|endoftext|>": 6}


def write_two_files(folder: Path) -> None:
    (folder / "vocab.json").write_text(json.dumps({**WORDS, **SPECIAL}))
    (folder / "merges.txt").write_text("#version: 0.2\na b</w>\n")


def write_one_file(folder: Path) -> None:
    """As transformers 5 writes it."""
    two = folder / "two" / "tokenizer"
    two.mkdir(parents=True)
    write_two_files(two)
    open_tokenizers(two.parent, "tiny", 7)[0].save_pretrained(folder)
    assert (folder / "tokenizer.json").exists()
    assert not (folder / "vocab.json").exists()


@pytest.mark.parametrize("write", [write_two_files, write_one_file])
def test_a_vocabulary_of_the_models_own(tmp_path: Path, write: object) -> None:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    write(folder)
    first, second = open_tokenizers(tmp_path, "tiny", 7)
    assert first("ab a").input_ids == [5, 4, 2, 6]
    assert second("ab a").input_ids == [5, 4, 2, 6]


def test_a_vocabulary_that_is_missing_or_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="tiny: its vocabulary of 7 words"):
        open_tokenizers(tmp_path, "tiny", 7)
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    write_two_files(folder)
    with pytest.raises(CheckpointError, match="has 7 words, tiny needs 8"):
        open_tokenizers(tmp_path, "tiny", 8)
    (folder / "vocab.json").write_text("{")
    with pytest.raises(CheckpointError, match="make no sense"):
        open_tokenizers(tmp_path, "tiny", 7)
