"""CLIP's tokens of a text and where they stand in it, without PyTorch and transformers."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace, Sequence
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Steps

_MERGES = Path(__file__).parent.parent / "checkpoint" / "clip" / "merges.txt.gz"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What OpenAI's tokenizer takes for a word; its parts are looked up in the table of merges."""
_END = "</w>"
_QUOTES = (("[\u02bc\u2018-\u201b]", "'"), ("[\u201c-\u201f]", '"'))

Span = tuple[int, int]
"""The first character of a token, and the one behind its last."""


def clip_tokens(text: str) -> list[Span]:
    """The places of the tokens of OpenAI CLIP's table, which is that of every usual SDXL."""
    return [(start, end) for start, end in _tokenizer().encode(text).offsets]


@cache
def _tokenizer() -> Tokenizer:
    lines = gzip.decompress(_MERGES.read_bytes()).decode().splitlines()
    merges = [
        (left, right)
        for left, right in (line.split() for line in lines if line and line[:8] != "#version")
    ]
    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(letter + _END for letter in alphabet), *map("".join, merges)]
    # Only the places of tokens are asked for: which number each has makes no difference.
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(BPE(vocabulary, merges, end_of_word_suffix=_END, fuse_unk=False))
    straight = [Replace(Regex(quotes), quote) for quotes, quote in _QUOTES]
    tokenizer.normalizer = Sequence([*straight, NFC(), Replace(Regex(r"\s+"), " "), Lowercase()])
    tokenizer.pre_tokenizer = Steps(
        [
            Split(Regex(_WORDS), behavior="removed", invert=True),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer
