"""What reads the files and texts of strangers, each with inputs and with bounds.

Another reader joins by an entry in `READERS`: inputs, and a function that may only return, or raise
what its users expect; what it gives is checked there, too.
"""

from __future__ import annotations

import base64
import io
import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from engine.errors import FileFormatError
from engine.files.header import Header, TensorInfo
from engine.library.entry import LibraryEntry
from engine.library.html_text import plain_description
from engine.library.metadata import describe_metadata, shown_metadata
from engine.library.previews import embedded_previews
from engine.library.read_entry import read_entry
from engine.library.sidecars import SIDECAR_ENDINGS
from engine.library.walk import FoundFile
from engine.lora.key_names import sort_keys
from engine.lora.peft_config import METADATA_KEY, read_peft_config
from tests.fuzz.inputs import (
    changed,
    encoded,
    encodings,
    json_like,
    json_tables,
    markup,
    names,
    numbers,
    texts,
    values,
)
from tui_loraswitch.config.config import ConfigError, load_config, remember
from tui_loraswitch.images.fit import fit_half_cells
from tui_loraswitch.panes.details_content import details_content


@dataclass(frozen=True)
class Reader:
    """One reader: it gets an input and a folder."""

    inputs: st.SearchStrategy[Any]
    read: Callable[[Any, Path], object]
    seconds: float = 2.0
    """CPU time for one input, ten times what the largest sound one takes."""
    mebibytes: float = 200.0
    examples: int = 60
    """Inputs in the short run; enough that the faults that were there once are found."""


# Files: their headers, the names in them, what they say of themselves.

_MODULE = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
_METADATA = (
    "modelspec.title", "modelspec.tags", "modelspec.trigger_phrase", "modelspec.thumbnail",
    "modelspec.architecture", "modelspec.author", "ss_tag_frequency", "ss_datasets",
    "ss_network_args", "ssmd_cover_images", "ss_base_model_version", METADATA_KEY,
)  # fmt: skip


def _raw(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return struct.pack("<Q", len(text)) + text + data


def _sound_file() -> bytes:
    header = {
        "__metadata__": dict.fromkeys(_METADATA, "a, b"),
        f"{_MODULE}.lora_A.weight": {"dtype": "F16", "shape": [1, 4], "data_offsets": [0, 8]},
        f"{_MODULE}.lora_B.weight": {"dtype": "F16", "shape": [4, 1], "data_offsets": [8, 16]},
        f"{_MODULE}.alpha": {"dtype": "F16", "shape": [], "data_offsets": [16, 18]},
    }
    return _raw(json.dumps(header), bytes(18))


def _with_names(keys: list[str]) -> bytes:
    """A file whose tensors have these names and no bytes."""
    entry = {"dtype": "F16", "shape": [0, 4], "data_offsets": [0, 0]}
    return _raw(json.dumps(dict.fromkeys(keys, entry)))


_ENTRY = {"dtype": '"F16"', "shape": "[2]", "data_offsets": "[0,4]"}
_headers = (
    changed(_sound_file())
    | st.builds(_raw, json_tables(("__metadata__", "a.lora_A.weight", *_ENTRY)), st.binary())
    | json_like(_ENTRY, values).map(lambda entry: _raw(f'{{"a.lora_A.weight":{entry}}}', bytes(4)))
    | st.lists(names, max_size=20).map(_with_names)
)


def _read_file(content: bytes, folder: Path) -> None:
    path = folder / "x.safetensors"
    path.write_bytes(content)
    _check_entry(_entry_of(path))


_metadata = st.dictionaries(
    st.sampled_from(_METADATA) | names,
    texts | json_tables(("subsets", "class_tokens", "a")) | numbers,
    max_size=4,
)


def _read_metadata(metadata: Mapping[str, str], folder: Path) -> None:
    said = describe_metadata(metadata)
    _check_text("\n".join((said.title, *(word for g in said.trigger_words for word in g.words))))
    _check_text("\n".join(f"{key}\n{value}" for key, value in shown_metadata(metadata)))


def _read_description(text: str, folder: Path) -> None:
    _check_text(plain_description(text))


_SIDECAR_KEYS = (
    "description", "activation text", "preferred weight", "sd version", "negative text", "notes",
    "trainedWords", "model", "name", "tags", "usage_tips", "civitai", "creator", "username",
    "strength", "baseModel", "base_model", "model_name", "modelDescription",
)  # fmt: skip
_sidecars = st.tuples(
    st.sampled_from(SIDECAR_ENDINGS),
    st.builds(
        encoded,
        json_like(dict.fromkeys(_SIDECAR_KEYS, '"a"'), values) | json_tables(_SIDECAR_KEYS),
        encodings,
    )
    | st.binary(max_size=40),
)


def _read_sidecar(sidecar: tuple[str, bytes], folder: Path) -> None:
    ending, content = sidecar
    path = folder / f"x{ending}"
    path.write_bytes(content)
    lora = folder / "sound.safetensors"
    lora.write_bytes(_sound_file())
    _check_entry(_entry_of(lora, (ending, path)))


def _entry_of(path: Path, *sidecars: tuple[str, Path]) -> LibraryEntry:
    return read_entry(FoundFile(path, path.parent, path.stat().st_size, 0, 0, sidecars, ()))


def _check_entry(entry: LibraryEntry) -> None:
    """What is shown acts on no terminal, and no fault of the program is behind an error."""
    assert "the log file has the details" not in entry.error
    _check_text(str(details_content(entry)))
    json.dumps([str(value) for value in vars(entry).values()]).encode()


def _check_text(shown: str) -> None:
    assert all(char.isprintable() or char in "\n\u200c\u200d" for char in shown), repr(shown)


# Pictures.


def _saved(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
    image.save(file, kind, **options)
    return file.getvalue()


_frames = [Image.new("RGB", (40, 30), (10 * i, 0, 0)) for i in range(3)]
_pictures = changed(
    _saved("PNG"), _saved("JPEG"), _saved("JPEG", progressive=True, icc_profile=b"none"),
    _saved("WEBP", lossless=True), _saved("GIF", save_all=True, append_images=_frames),
    _saved("WEBP", save_all=True, append_images=_frames), _saved("PNG", icc_profile=b"none"),
    _saved("TIFF"), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n{} loop\n",
)  # fmt: skip


def _read_picture(content: bytes, folder: Path) -> None:
    try:
        cells = fit_half_cells(content, 20, 10)
    except FileFormatError:
        return
    assert len(cells.rgb) == cells.width * cells.rows * 2 * 3


def _read_embedded(content: bytes, folder: Path) -> None:
    text = base64.b64encode(content).decode()
    metadata = {
        "modelspec.thumbnail": f"data:image/png;base64,{text}",
        "ssmd_cover_images": json.dumps([text, 1]),
    }
    for picture in embedded_previews(Header({}, metadata, 0, 0)):
        _read_picture(picture, folder)


# Configurations.

_CONFIG = (
    b'model = "/m"\nloras = ["/a", "~/b"]\nvae = "auto"\ntag_order = "unet, te"\ncompile = "on"\n'
    b'[block_weights]\nFACE = "1,0,0,0,0,1,1,1,1,1,1,1"\nx.y = """a"""\n[[other]]\nd = 1979-05-27\n'
)
_configs = changed(_CONFIG) | st.builds(
    lambda key, value: f"{key} = {value}\n".encode("utf-8", "replace"),
    st.sampled_from(("model", "loras", "vae", "block_weights", "mode", "a.b", "long"))
    .map(lambda key: "a." * 20_000 + "a" if key == "long" else key),
    texts | values,
)  # fmt: skip


def _read_config(content: bytes, folder: Path) -> None:
    path = folder / "config.toml"
    path.write_bytes(content)
    try:
        load_config(path)
        remember(path, {"device": "cpu"})
        assert load_config(path).device == "cpu"
    except ConfigError as error:
        _require(str(path) in str(error), str(error))


_PEFT = {
    **dict.fromkeys(("unet.r", "unet.lora_alpha", "r", "lora_alpha", "eps"), "2"),
    **dict.fromkeys(("unet.use_rslora", "coft"), "true"),
    "unet.alpha_pattern": '{"to_k":8}',
    "unet.rank_pattern": '{"^mid":8}',
    "num_cayley_neumann_terms": "5",
}
_patterns = json_like({"to_k": "1", "^" + _MODULE[5:]: "2", r"attn2\.to_k$": "3"}, numbers)
_peft = st.tuples(
    st.booleans(),
    json_like(_PEFT, numbers) | json_like(_PEFT, _patterns | values) | json_tables(list(_PEFT)),
)


def _read_peft(config: tuple[bool, str], folder: Path) -> None:
    is_beside, text = config
    path, beside = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    path.touch()
    beside.unlink(missing_ok=True)
    if is_beside:
        beside.write_text(text)
    header = Header({}, {} if is_beside else {METADATA_KEY: text}, 0, 0)
    info = TensorInfo("F16", (4, 4), 0, 32)
    keys = (f"{_MODULE}.lora_A.weight", f"{_MODULE}.lora_B.weight", "text_model.a.oft_R.weight")
    modules = sort_keys(dict.fromkeys(keys, info)).modules
    try:
        peft = read_peft_config(path, header)
        for name, module in modules.items():
            found = peft.numbers(name, module) if peft else {}
            assert all(math.isfinite(number) for number in found.values()), found
    except FileFormatError as error:
        _require(len(str(error)) < 1000, str(error))


def _require(holds: bool, words: str) -> None:
    assert holds, words


READERS = {
    "header": Reader(_headers, _read_file),
    "metadata": Reader(_metadata, _read_metadata),
    "description": Reader(markup | texts, _read_description, examples=150),
    "sidecar": Reader(_sidecars, _read_sidecar),
    "preview": Reader(_pictures, _read_picture),
    "embedded preview": Reader(_pictures, _read_embedded),
    "config": Reader(_configs, _read_config),
    "PEFT": Reader(_peft, _read_peft),
}
