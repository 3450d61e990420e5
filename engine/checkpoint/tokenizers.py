"""CLIP's tokenizers from local data: the bundled table, or a folder beside the checkpoint."""

from __future__ import annotations

import gzip
from pathlib import Path

from tokenizers import Regex
from tokenizers.normalizers import Replace, Sequence
from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from engine.errors import CheckpointError
from engine.files.json_text import parse_json
from engine.files.regular_file import read_regular

CLIP_VOCABULARY = 49408
MAX_TABLE_BYTES = 32_000_000
"""Ten times what CLIP's words and merges take in one file."""
_MERGES = Path(__file__).parent / "clip" / "merges.txt.gz"


def open_tokenizers(
    folder: Path, model: str, vocabulary: int
) -> tuple[CLIPTokenizer, CLIPTokenizer]:
    """Open both tokenizers of a model whose token embedding has `vocabulary` rows.

    49,408 rows mean OpenAI CLIP's table, which ships with the package. Any other size needs
    `vocab.json` and `merges.txt` in `tokenizer` within `folder`. The second tokenizer pads with
    `!` (id 0), as SDXL's does. Raises `CheckpointError` naming the `model`.
    """
    if vocabulary == CLIP_VOCABULARY:
        merges = _read_merges(gzip.decompress(_MERGES.read_bytes()).decode())
        alphabet = list(bytes_to_unicode().values())
        tokens = [*alphabet, *(c + "</w>" for c in alphabet), *("".join(m) for m in merges)]
        vocab = {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    else:
        vocab, merges = _read_folder(folder / "tokenizer", model, vocabulary)
    first = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)
    second = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)
    # Set afterwards: given above, every "!" of a prompt would count as padding too.
    second.pad_token = "!"
    for tokenizer in (first, second):
        _straighten_quotes(tokenizer)
    return first, second


def _straighten_quotes(tokenizer: CLIPTokenizer) -> None:
    """Make typographic quotes straight ones first, as OpenAI's tokenizer does and this one not.

    They come with every text pasted from elsewhere, and would split into tokens CLIP hardly saw.
    """
    backend = tokenizer.backend_tokenizer
    backend.normalizer = Sequence(
        [
            Replace(Regex("[\u02bc\u2018-\u201b]"), "'"),
            Replace(Regex("[\u201c-\u201f]"), '"'),
            backend.normalizer,
        ]
    )


def _read_merges(text: str) -> list[tuple[str, str]]:
    pairs = (line.split() for line in text.splitlines() if line and not line.startswith("#version"))
    return [(left, right) for left, right in pairs]


def _read_folder(
    folder: Path, model: str, vocabulary: int
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    if not any((folder / name).exists() for name in ("tokenizer.json", "vocab.json")):
        raise CheckpointError(
            f"{model}: its vocabulary of {vocabulary} words is not CLIP's "
            f"({CLIP_VOCABULARY}), and there is no tokenizer in {folder}."
        )
    try:
        vocab, merges = _read_tables(folder)
        _require_sense(vocab, merges)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder}: the tokenizer's files make no sense.") from error
    if len(vocab) != vocabulary:
        raise CheckpointError(
            f"{folder}: the tokenizer has {len(vocab)} words, {model} needs {vocabulary}."
        )
    return vocab, merges


def _require_sense(vocab: dict[str, int], merges: list[tuple[str, str]]) -> None:
    """Raise `ValueError` unless the words are numbered and the merges lead from words to words."""
    if sorted(vocab.values()) != list(range(len(vocab))):
        raise ValueError("the words are not numbered one by one")
    if not all({left, right, left + right} <= vocab.keys() for left, right in merges):
        raise ValueError("a merge is of no words")


def _read_tables(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Read the words and merges from two files, or from the one that transformers 5 writes."""
    whole = folder / "tokenizer.json"
    if not whole.exists():
        vocab = parse_json(read_regular(folder / "vocab.json", MAX_TABLE_BYTES))
        return vocab, _read_merges(read_regular(folder / "merges.txt", MAX_TABLE_BYTES).decode())
    model = parse_json(read_regular(whole, MAX_TABLE_BYTES))["model"]
    pairs = (m.split(" ") if isinstance(m, str) else m for m in model["merges"])
    return model["vocab"], [(left, right) for left, right in pairs]
