"""Hashes are those of the file as it is, however old it looks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from engine.library.hash_store import HashStore
from engine.library.hashes import hash_file


def test_a_file_rewritten_in_place_is_hashed_again(tmp_path: Path) -> None:
    path, store = tmp_path / "ink.safetensors", HashStore()
    seen = set()
    for value in range(3):
        data = save({"x": np.full(4, value, np.float32)})
        with path.open("r+b" if value else "wb") as file:
            file.write(data)
        os.utime(path, ns=(1, 1))
        assert store.of(path) is store.of(path)
        assert store.of(path) == hash_file(path)
        seen.add(store.of(path).autov3)
    assert len(seen) == 3
