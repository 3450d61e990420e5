"""Import PyTorch and diffusers without stalling the other threads of the program.

An import holds the interpreter's lock through two kinds of long, single steps: opening the big
shared libraries, and garbage collections over the million objects that modules consist of.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBRARIES = (
    # Symbols that later libraries find globally, as torch itself opens it; then the bulk.
    ("libtorch_global_deps", os.RTLD_GLOBAL | os.RTLD_NOW),
    ("libtorch", os.RTLD_NOW),
)
_ENDINGS = (".so", ".dylib")


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Prepare for importing torch in the block, and leave what it made to no collector again."""
    _open_libraries()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Modules live as long as the program: later collections need not look at them.
        gc.freeze()
        if was_enabled:
            gc.enable()


def _open_libraries() -> None:
    """Open torch's libraries with the lock released; the import then finds them open.

    `ctypes.CDLL` would hold the lock while it opens, but not while it calls: so `dlopen` is called.
    What cannot be opened here is left for the import to say.
    """
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations or os.name != "posix":
        return
    folder = Path(found.submodule_search_locations[0], "lib")
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for name, mode in _LIBRARIES:
        for ending in _ENDINGS:
            path = folder / f"{name}{ending}"
            if path.exists():
                dlopen(os.fsencode(path), mode)
