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
    ("torch", "lib/libtorch_global_deps", os.RTLD_GLOBAL | os.RTLD_NOW),
    ("torch", "lib/libtorch", os.RTLD_NOW),
    ("triton", "_C/libtriton", os.RTLD_NOW),
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
    """Open the big libraries with the lock released; the import then finds them open.

    `ctypes.CDLL` would hold the lock while it opens, but not while it calls: so `dlopen` is called.
    What cannot be opened here is left for the import to say.
    """
    if os.name != "posix":
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for package, name, mode in _LIBRARIES:
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or ()) if found else ():
            for path in (Path(folder, f"{name}{ending}") for ending in _ENDINGS):
                if path.exists():
                    dlopen(os.fsencode(path), mode)
