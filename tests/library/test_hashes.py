"""Hashes as Civitai and infotexts write them."""

import hashlib
import struct
from pathlib import Path

import pytest

from engine.errors import CancelledError, FileFormatError
from engine.files.hashes import claimed_tensors_hash, hash_file


@pytest.fixture
def vector(tmp_path: Path) -> Path:
    """A 68-byte file whose hashes are known."""
    header = b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'.ljust(56)
    path = tmp_path / "vector.safetensors"
    path.write_bytes(struct.pack("<Q", 56) + header + bytes.fromhex("00008040"))
    return path


def test_known_hashes(vector: Path) -> None:
    hashes = hash_file(vector)
    assert hashes.autov2 == "96909b255c"
    assert hashes.autov3 == "4f4b9b7d8b86"
    assert hashes.sha256 == hashlib.sha256(vector.read_bytes()).hexdigest()
    assert hashes.legacy == ""


def test_large_file_with_progress(tmp_path: Path) -> None:
    size = 5 * 1024 * 1024
    header = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    data = bytes(range(256)) * (size // 256)
    path = tmp_path / "large.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    seen: list[tuple[int, int]] = []
    hashes = hash_file(path, on_progress=lambda done, total: seen.append((done, total)))
    raw = path.read_bytes()
    assert hashes.tensors_sha256 == hashlib.sha256(data).hexdigest()
    assert hashes.legacy == hashlib.sha256(raw[0x100000:0x110000]).hexdigest()[:8]
    assert len(seen) == 2
    assert seen[-1] == (len(raw), len(raw))


def test_cancel_and_unsound_files(vector: Path) -> None:
    with pytest.raises(CancelledError, match="cancelled"):
        hash_file(vector, should_stop=lambda: True)
    vector.write_bytes(vector.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match="truncated"):
        hash_file(vector)


def test_claimed_hashes() -> None:
    digits = "4f4b9b7d8b86" + "0" * 52
    assert claimed_tensors_hash({"sshs_model_hash": digits}) == digits
    assert claimed_tensors_hash({"modelspec.hash_sha256": f"0x{digits.upper()}"}) == digits
    nothing = hashlib.sha256().hexdigest()
    assert claimed_tensors_hash({"sshs_model_hash": nothing}) == ""
    assert claimed_tensors_hash({"sshs_model_hash": "4f4b"}) == ""
    assert claimed_tensors_hash({}) == ""
