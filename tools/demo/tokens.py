"""The demo's small CLIP vocabulary: bytes, the words of its scenes, two specials."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tools.demo.grounds import GROUNDS
from tools.demo.scenes import COLOURS, PLACES, RADII, SHAPES, SYNONYMS
from tools.demo.styles import STYLES

WORDS = (
    *COLOURS, *SHAPES, *STYLES, *filter(None, RADII), *SYNONYMS.values(), *GROUNDS,
    *" ".join(PLACES).split(), "a", "an", "and", "on", "background", ",", "slider",
    "style", "picture", "of", "two", "with", "face", "glowing", "blurry", "landscape",
)  # fmt: skip


def byte_pair_merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Learn merges until each word is one token: the most frequent pair first, as BPE does."""
    pieces = [[*word[:-1], word[-1] + "</w>"] for word in dict.fromkeys(words)]
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for piece in pieces for pair in pairwise(piece))
        if not pairs:
            return merges
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for piece in pieces:
            i = 0
            while i < len(piece) - 1:
                if (piece[i], piece[i + 1]) == best:
                    piece[i : i + 2] = ["".join(best)]
                i += 1


def write_tokenizer(folder: Path) -> None:
    """Write `vocab.json` and `merges.txt` in CLIP's form: bytes, bytes ending a word, merges."""
    merges = byte_pair_merges(WORDS)
    alphabet = list(bytes_to_unicode().values())
    tokens = [*alphabet, *(c + "</w>" for c in alphabet), *("".join(pair) for pair in merges)]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocab = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False) + "\n")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")


def read_tokenizer(folder: Path) -> CLIPTokenizer:
    """Open the tokenizer written by `write_tokenizer`."""
    vocab = json.loads((folder / "vocab.json").read_text())
    lines = (folder / "merges.txt").read_text().splitlines()[1:]
    merges = [tuple(line.split()) for line in lines]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)
