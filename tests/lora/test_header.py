"""Headers of sound files are read like the format's own library does; all others are refused."""

import io
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.errors import FileFormatError
from engine.files.header import MAX_HEADER_BYTES, MAX_NAME, MAX_TENSORS, read_header
from tests.support.bounds import bounded

SOUND = save(
    {
        "a": np.ones((2, 3), np.float16),
        "b": np.array(4, np.float32),
        "none": np.zeros((0, 7), np.int64),
    },
    {"ss_network_dim": "4"},
)


def raw_file(header: object, data: bytes = b"", pad_to: int = 0) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text = text.ljust(pad_to)
    return struct.pack("<Q", len(text)) + text + data


def one_tensor(**changes: object) -> dict[str, object]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


def zipped(name: str) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr(name, bytes(10))
    return written.getvalue()


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        read_header(path)
    return str(caught.value)


def test_reads_shapes_ranges_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(SOUND)
    header = read_header(path)
    assert header.metadata == {"ss_network_dim": "4"}
    assert header.file_size == len(SOUND)
    assert header.tensors["a"].shape == (2, 3)
    assert header.tensors["a"].dtype == "F16"
    assert header.tensors["none"].shape == (0, 7)
    scalar = header.tensors["b"]
    assert SOUND[scalar.start : scalar.end] == np.float32(4).tobytes()


@pytest.mark.parametrize("length", [0x80, 0x80 + 256, 0x3C + 256, 0x4B50, 0x5089])
def test_header_length_that_looks_like_another_kind_is_read(tmp_path: Path, length: int) -> None:
    """0x80 starts a pickle, `<` a page, PK a zip: as the low bytes of a length they are nothing."""
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw_file(one_tensor(), bytes(8), pad_to=length))
    assert list(read_header(path).tensors) == ["a"]


def test_truncated_at_any_byte_is_refused(tmp_path: Path) -> None:
    for kept in range(len(SOUND)):
        assert "a.safetensors" in refusal(tmp_path / "a.safetensors", SOUND[:kept])


def test_truncation_says_how_much_is_there(tmp_path: Path) -> None:
    message = refusal(tmp_path / "a.safetensors", SOUND[:-1])
    assert f"truncated, {len(SOUND) - 1} of {len(SOUND)} bytes are here" in message


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"PK\x03\x04\x14\0\0\0\0\0archive/data.pkl", "pickle"),
        (b"\x80\x02}q\0(X\x05\0\0\0alphaq\x01", "pickle"),
        (b"\x80\x04\x95\0\0\0\0\0\0\0\0}\x94.", "pickle"),
        (b"<!DOCTYPE html><html>Not found</html>", "web page"),
        (b'{"error": "Unauthorized"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x89PNG\r\n\x1a\n" + bytes(9), "PNG"),
        (b"GGUF\x03\0\0\0" + bytes(9), "GGUF"),
        (bytes(1000), "unfinished download"),
        (b"\r\n\r\n<!DOCTYPE html><html>", "web page"),
        (b"\xef\xbb\xbf<html>Not found</html>", "web page"),
        (b"Entry not found", "text, perhaps a failed download"),
        (b"Invalid username\r\nor password.\n", "text, perhaps a failed download"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "JPEG"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP"),
        (b"Rar!\x1a\x07\x01\0\0\0", "RAR archive; unpack it"),
        (b"7z\xbc\xaf\x27\x1c\0\x04\0\0", "7z archive; unpack it"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip archive; unpack it"),
        (b"\x89HDF\r\n\x1a\n\0\0", "Keras"),
        (zipped("model.safetensors"), "zip archive with one in it; unpack it"),
        (zipped("Sub/Model.SafeTensors"), "zip archive with one in it; unpack it"),
        (zipped("archive/data.pkl"), "pickle"),
        (b"some text \0 that is nothing", "no header"),
    ],
)
def test_other_kinds_of_file_are_named(tmp_path: Path, content: bytes, word: str) -> None:
    assert word in refusal(tmp_path / "a.safetensors", content)


@pytest.mark.parametrize(
    "header",
    [
        one_tensor(data_offsets=[0, 4]),
        one_tensor(data_offsets=[8, 0]),
        one_tensor(data_offsets=[-8, 0]),
        one_tensor(data_offsets=[4, 12]),
        one_tensor(data_offsets=[0, 8, 8]),
        one_tensor(data_offsets="08"),
        one_tensor(data_offsets=[0, 8.0]),
        one_tensor(data_offsets=[False, 8]),
        one_tensor(shape=[-2]),
        one_tensor(shape=[-1, -2]),
        one_tensor(shape=""),
        one_tensor(shape=[2, 0]),
        one_tensor(shape=[2**63, 2**63]),
        one_tensor(shape=[1] * 100 + [2]),
        one_tensor(dtype="F31"),
        one_tensor(dtype=["F32"]),
        {"a": []},
        {"a": "F32"},
        {"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]}},
        [one_tensor()],
        b"{not json}",
        b'{"a": ' + b"[" * 100_000,
        b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 8]}}',
        json.dumps(one_tensor()).encode("utf-16-le"),
        b'{"\xff": 1}',
    ],
    ids=lambda header: repr(header)[:60],
)
def test_lying_headers_are_refused(tmp_path: Path, header: object) -> None:
    refusal(tmp_path / "a.safetensors", raw_file(header, bytes(8)))


def test_overlapping_tensors_gaps_and_stray_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    entry = one_tensor()["a"]
    assert "overlap" in refusal(path, raw_file({"a": entry, "b": entry}, bytes(8)))
    later = {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}
    assert "gaps" in refusal(path, raw_file({"a": entry, "b": later}, bytes(16)))
    assert "3 stray bytes" in refusal(path, raw_file({"a": entry}, bytes(11)))


ENTRY = '{"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}'


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        (f'{{"a": {ENTRY}, "a": {ENTRY}}}', "a"),
        (f'{{"a": {ENTRY}, "\\u0061": {ENTRY}}}', "a"),
        ('{"a": {"dtype": "F32", "shape": [1, 1], "shape": [2], "data_offsets": [0, 8]}}', "shape"),
        ('{"a": {"dtype": "I32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', "dtype"),
        (f'{{"__metadata__": {{"a": "1"}}, "a": {ENTRY}, "__metadata__": {{}}}}', "__metadata__"),
    ],
)
def test_one_name_twice_is_refused(tmp_path: Path, text: str, twice: str) -> None:
    """The format forbids it, and its readers differ in which one counts."""
    words = refusal(tmp_path / "a.safetensors", raw_file(text.encode(), bytes(8)))
    assert f"its header makes no sense: it names '{twice}' twice." in words


@pytest.mark.parametrize("name", ["dtype", "data_offsets", '"shape"', "x"])
def test_names_that_are_the_formats_own_words_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({name: np.ones(2, np.float32)}, {name: "shape", "other": '"dtype"'}))
    assert list(read_header(path).tensors) == [name]


def test_enormous_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{")
        file.truncate(MAX_HEADER_BYTES + 1000)
    with pytest.raises(FileFormatError, match="no header"):
        read_header(path)


def test_endless_shape_is_refused_at_once(tmp_path: Path) -> None:
    """Multiplying 20,000 numbers of 1,000 digits would take minutes."""
    numbers = ",".join(["9" * 1000] * 20_000).encode()
    header = b'{"a":{"dtype":"F32","shape":[' + numbers + b'],"data_offsets":[0,8]}}'
    assert "makes no sense" in refusal(tmp_path / "a.safetensors", raw_file(header, bytes(8)))


def many(count: int, name: str = "t{}.lora_up.weight") -> bytes:
    entry = '{{"dtype":"F16","shape":[1],"data_offsets":[{},{}]}}'
    pairs = (f'"{name.format(i)}":{entry.format(2 * i, 2 * i + 2)}' for i in range(count))
    return raw_file(("{" + ",".join(pairs) + "}").encode(), bytes(2 * count))


def test_names_and_their_number_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(many(MAX_TENSORS))
    with bounded(5.0, 200):
        assert len(read_header(path).tensors) == MAX_TENSORS
    with bounded(2.0, 400):
        assert "names 700,000 tensors; no LoRA" in refusal(path, many(700_000))
    escaped = many(MAX_TENSORS + 1).replace(b"data_offsets", b"data\\u005foffsets")
    escaped = raw_file(escaped[8 : -2 * MAX_TENSORS - 2], bytes(2 * MAX_TENSORS + 2))
    assert f"names {MAX_TENSORS + 1:,} tensors" in refusal(path, escaped)
    long = {"x" * MAX_NAME: one_tensor()["a"]}
    path.write_bytes(raw_file(long, bytes(8)))
    assert list(read_header(path).tensors) == ["x" * MAX_NAME]
    for name in ("attentions." * 20_000, "x" * (MAX_NAME + 1)):
        message = refusal(path, raw_file({name: one_tensor()["a"]}, bytes(8)))
        assert f"a tensor whose name is {len(name):,} characters long" in message
        assert len(message) < 200
    assert "is no text" in refusal(path, raw_file({"\ud800": one_tensor()["a"]}, bytes(8)))


def test_headers_of_a_hundred_megabytes_are_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for values in (b"[]," * 30_000_000, b"1," * 45_000_000, b'"",' * 30_000_000):
        content = raw_file(b'{"a":[' + values + b"0]}")
        with bounded(2.0, 600):
            assert "not sensible JSON" in refusal(path, content)


def test_metadata_that_is_no_table_of_texts_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw_file({"__metadata__": {"a": 1, "b": "text"}}))
    assert read_header(path).metadata == {"b": "text"}
    path.write_bytes(raw_file({"__metadata__": [1]}))
    assert read_header(path).metadata == {}


def test_missing_file_folder_and_pipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        read_header(tmp_path / "none.safetensors")
    with pytest.raises(FileFormatError, match="not a file"):
        read_header(tmp_path)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(FileFormatError, match="not a file"):
        read_header(tmp_path / "pipe.safetensors")


def test_messages_carry_no_escape_sequences(tmp_path: Path) -> None:
    message = refusal(
        tmp_path / "\x1b]0;title\x07\u202e.safetensors", raw_file({"\x1b[31mkey\u202e": 1})
    )
    assert message.isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, b: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(b)
    _read_or_refuse(path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
_ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "U8", "F4", "X"]) | _JSON,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | _JSON,
        "data_offsets": st.lists(st.integers(-1, 40), min_size=2, max_size=2) | _JSON,
    }
)


@given(st.dictionaries(st.text(max_size=3), _ENTRY | _JSON, max_size=3), st.binary(max_size=40))
@settings(max_examples=300)
def test_what_is_accepted_is_sound(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, object], data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "wild.safetensors"
    path.write_bytes(raw_file(table, data))
    _read_or_refuse(path)


def _read_or_refuse(path: Path) -> None:
    """What is accepted lies inside the file without overlap, and the format's library agrees."""
    try:
        header = read_header(path)
    except FileFormatError:
        return
    ranges = sorted((info.start, info.end) for info in header.tensors.values())
    assert sum(end - start for start, end in ranges) == path.stat().st_size - header.data_start
    assert all(header.data_start <= start <= end <= header.file_size for start, end in ranges)
    try:
        with safe_open(path, "np") as file:
            assert set(file.keys()) == set(header.tensors)
    except SafetensorError as error:
        raise AssertionError(f"accepted here, refused there: {error}") from error
