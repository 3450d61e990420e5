"""Inputs as hostile or broken files have them: texts, JSON, and sound files with bytes changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

_MANY = 20_000
"""Repeats of a piece in a text that a careless pattern reads for minutes."""


def _texts(pieces: Sequence[str], repeats: Sequence[int]) -> st.SearchStrategy[str]:
    repeated = st.builds(str.__mul__, st.sampled_from(pieces), st.sampled_from(repeats))
    return st.lists(repeated | st.text(max_size=8), max_size=5).map("".join)


_PIECES = (
    "attentions.", "input_blocks.4.1.transformer_blocks.0.attn2.to_k", ".lora_up.weight",
    ".lora_A.weight", ".oft_R.", "bundle_emb.", ".string_to_param.x", "base_model.model.",
    "transformer_blocks_1", "lora_te_", "<lora:x:1>", "\x1b[31m", "\x1b]52;c;AAAA\x07", "\x9b",
    "\ud800", "\u202e", "\x00", "\n", "\r\n", "\u2028", " ", "\t", ",", "1", "-", "é", "漢", "🦊",
    "(", "[", "{", "\\", '"', "'", ":", "=", "None", "nan", "data:,", "%", "e\u0301",
)  # fmt: skip
names = _texts(_PIECES, (1, 2, 40))
"""Texts that act on terminals, that are no text, or that name tensors."""
texts = _texts(_PIECES, (1, 3, _MANY))
"""The same, and long ones."""
markup = _texts(
    ("<p>", "<a a='", '<p "', "<a ", "<!--", "-->", "<script>", "&#1", "&a", "<", "<?", "\x1b[1",
     "&amp;", "</p>", "\n", "<p/>", "'"),
    (1, _MANY),
).map("<p>{}".format)  # fmt: skip
"""Broken HTML."""

_DIGITS = st.sampled_from((400, 5000)).map(lambda count: "9" * count)
numbers = _DIGITS | st.sampled_from(
    ("0", "1", "-1", "4", "0.5", "1e300", "1e999", "-1e999", "1e-320", "NaN", "Infinity", "-0.0",
     "18446744073709551616", "true", "null", '"4"', "[1]", "{}")
)  # fmt: skip
"""JSON values where a number is wanted."""
_nested = st.sampled_from(
    (("[", 100_000, "]"), ('{"a":', 100_000, ""), ("[[],[],", 300, "]"), ("[],", 9_000, ""))
).map(lambda nest: nest[0] * nest[1] + "1" + nest[2] * nest[1])
values = numbers | texts.map(json.dumps) | _nested
"""JSON values of any kind."""


def json_like(sound: Mapping[str, str], others: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A sound JSON table, of keys and values as JSON, with some of its values exchanged."""
    changes = st.dictionaries(st.sampled_from(list(sound)), others, max_size=3)
    return changes.map(lambda some: _table([*{**sound, **some}.items()]))


def json_tables(keys: Sequence[str]) -> st.SearchStrategy[str]:
    """JSON tables as text, of some of these keys and of others, with values of any kind.

    A key may stand in a table twice.
    """
    written = st.sampled_from(keys) | names

    def tables(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.lists(st.tuples(written, inner), max_size=6).map(_table)

    def lists(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")

    return tables(st.recursive(values, lambda inner: tables(inner) | lists(inner), max_leaves=8))


def _table(pairs: Sequence[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + "}"


encodings = st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "latin-1"))
"""Encodings that programs write, wanted or not."""


def encoded(text: str, encoding: str) -> bytes:
    """A text in an encoding; what it does not have becomes `?`."""
    return text.encode(encoding, "replace")


def changed(*sound: bytes) -> st.SearchStrategy[bytes]:
    """Sound files with some bytes changed, cut, put in or repeated."""
    edits = st.lists(
        st.tuples(
            st.floats(0, 1),
            st.integers(0, 8) | st.just(1 << 20),
            st.binary(max_size=8) | st.sampled_from((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff")),
            st.sampled_from((1, 1, 1, 1000)),
        ),
        max_size=6,
    )
    return st.builds(_change, st.sampled_from(sound), edits)


def _change(content: bytes, edits: Sequence[tuple[float, int, bytes, int]]) -> bytes:
    for place, cut, put, times in edits:
        start = int(place * len(content))
        content = content[:start] + put * times + content[start + cut :]
    return content
