"""CLIP's tokenizers from local data: the bundled table, or a folder beside the checkpoint."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from engine.errors import CheckpointError

CLIP_VOCABULARY = 49408
_MERGES = Path(__file__).parent / "clip" / "merges.txt.gz"


def open_tokenizers(checkpoint: Path, vocabulary: int) -> tuple[CLIPTokenizer, CLIPTokenizer]:
    """Open both tokenizers of a checkpoint whose token embedding has `vocabulary` rows.

    49,408 rows mean OpenAI CLIP's table, which ships with the package. Any other size needs
    `tokenizer/vocab.json` and `tokenizer/merges.txt` beside the checkpoint. The second tokenizer
    pads with `!` (id 0), as SDXL's does.
    """
    if vocabulary == CLIP_VOCABULARY:
        merges = _read_merges(gzip.decompress(_MERGES.read_bytes()).decode())
        alphabet = list(bytes_to_unicode().values())
        tokens = [*alphabet, *(c + "</w>" for c in alphabet), *("".join(m) for m in merges)]
        vocab = {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    else:
        vocab, merges = _read_folder(checkpoint, vocabulary)
    first = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)
    second = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77, pad_token="!")
    return first, second


def _read_merges(text: str) -> list[tuple[str, str]]:
    pairs = (line.split() for line in text.splitlines() if line and not line.startswith("#version"))
    return [(left, right) for left, right in pairs]


def _read_folder(checkpoint: Path, vocabulary: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    folder = checkpoint.parent / "tokenizer"
    try:
        vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        merges = _read_merges((folder / "merges.txt").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{checkpoint.name}: its vocabulary of {vocabulary} words is not CLIP's "
            f"({CLIP_VOCABULARY}), and there is no tokenizer in {folder}."
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{folder}: the tokenizer's files cannot be read.") from error
    if len(vocab) != vocabulary:
        raise CheckpointError(
            f"{folder}: the tokenizer has {len(vocab)} words, {checkpoint.name} needs {vocabulary}."
        )
    return vocab, merges
