"""Whatever stands in a header or beside a file: it has its row, and the details say what is odd."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.library.index import LibraryIndex
from engine.library.scan import scan_folders
from engine.library.search import SearchIndex
from engine.library.sidecars import SIDECAR_ENDINGS
from tui_loraswitch.panes.details_content import details_content

MODULE = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
KEYS = (
    "ss_tag_frequency", "ss_datasets", "ss_output_name", "ss_base_model_version", "modelspec.title",
    "modelspec.tags", "modelspec.trigger_phrase", "modelspec.thumbnail", "ssmd_cover_images",
    "description", "activation text", "preferred weight", "notes", "sd version", "trainedWords",
    "model", "name", "tags", "usage_tips", "civitai", "creator", "strength", "favorite",
    "baseModel", "__metadata__", "TrainedWords", "Tags", "UserTitle",
)  # fmt: skip
ODD_TEXTS = (
    "",
    "\0",
    "\ud800",
    "\udce9x",
    "\x1b[31m",
    "a\x1fb\x1ec",
    "{",
    "[1]",
    "9" * 400,
    "\u202e",
)
TEXTS = st.text(st.characters(), max_size=6) | st.sampled_from(ODD_TEXTS)
NUMBERS = st.integers() | st.sampled_from((2**63, 2**64, -(2**70), 10**400, 1e308, float("nan")))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | TEXTS.map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | TEXTS, inner, max_size=4)
    ),
    max_leaves=8,
)
TABLES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4)
DEEP = "[" * 5_000
SIDES = st.sampled_from((0, 1, 4, 2**31, 2**62, 2**63, 2**64 - 1))


def write(path: Path, metadata: object, rank: int, width: int) -> None:
    """A LoRA of one module; shapes of no values may be of any size."""
    table: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for key, shape in (("lora_down", [rank, width]), ("lora_up", [640, rank])):
        start, end = end, end + min(2 * shape[0] * shape[1], 20_000)
        table[f"{MODULE}.{key}.weight"] = {
            "dtype": "F16", "shape": shape, "data_offsets": [start, end],
        }  # fmt: skip
    header = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(end))


@settings(max_examples=25)
@given(
    VALUES | TABLES,
    st.dictionaries(st.sampled_from(SIDECAR_ENDINGS), VALUES | TABLES | st.binary(max_size=9)),
    SIDES,
    SIDES,
    st.sampled_from((0, 1, -(10**9), 15 * 10**18)),
)
@example(["no table"], {".json": [1], ".civitai.info": DEEP.encode()}, 2**62, 0, 0)
def test_every_file_has_its_row(
    metadata: object, beside: dict[str, object], rank: int, width: int, mtime_ns: int
) -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        for ending, value in beside.items():
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            (root / f"wild{ending}").write_bytes(content)
        write(root / "wild.safetensors", metadata, rank, width)
        os.utime(root / "wild.safetensors", ns=(0, mtime_ns))
        with LibraryIndex(root / "index.sqlite") as index:
            (entry,) = scan_folders([root], index)
            assert index.warning == ""
            assert index.load([root]) == [entry]
            shown = SearchIndex(*index.listed([root]), index.entry)
        assert len(shown) == 1
        assert "the log file has the details" not in entry.error
        said = str(details_content(entry))
        assert all(char.isprintable() or char in "\n\u200c\u200d" for char in said)
        if not entry.error:
            in_words = " ".join(entry.problems)
            assert ("its metadata is no table" in in_words) is not isinstance(metadata, dict | None)
            for ending, value in beside.items():
                if "txt" not in ending and not isinstance(value, bytes | dict | None):
                    assert f"wild{ending}: all of it" in in_words
