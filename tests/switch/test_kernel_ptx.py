"""The merge kernel compiled for real GPUs, without one: wide accesses, tensor cores, room.

Beside the assembler that comes with Triton it needs no CUDA; registers are its own count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="needs Triton, which is not made for this system")

COMPILE = """
import json, re, subprocess, sys, tempfile
import torch, triton.language as tl
from pathlib import Path
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from engine.switch.kernel import merge_kernel
from engine.switch.tiles import tile_of

TYPES = {"weights": "*i64", "factors": "*i64", "ranks": "*i32", "scales": "*fp32",
         "finite": "*i32", "rows": "i32", "columns": "i32", "terms": "i32"}
DTYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}

def assembled(capability, weight, factor):
    tile = tile_of(divmod(capability, 10), weight, factor)
    fixed = {"WEIGHT": DTYPES[weight], "FACTOR": DTYPES[factor], "WIDE_WEIGHTS": True,
             "WIDE_FACTORS": True, "BLOCK_ROWS": tile.rows, "BLOCK_COLUMNS": tile.columns,
             "BLOCK_RANK": tile.rank}
    signature = TYPES | dict.fromkeys(fixed, "constexpr")
    places = {(list(signature).index(name),): value for name, value in fixed.items()}
    multiples = {(i,): [["tt.divisibility", 16]] for i in range(len(TYPES) - 1)}
    source = ASTSource(merge_kernel, signature, places, multiples)
    target = GPUTarget("cuda", capability, 32)
    made = compile(source, target=target, options={"num_warps": tile.warps})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(made.asm["ptx"])
        arch = re.search(r"[.]target (\\w+)", made.asm["ptx"])[1]
        blackwell = getattr(knobs.nvidia, "ptxas_blackwell", knobs.nvidia.ptxas)
        ptxas = blackwell if capability >= 100 else knobs.nvidia.ptxas
        said = subprocess.run([ptxas.path, "-v", f"-arch={arch}", str(path), "-o", "/dev/null"],
                              capture_output=True, text=True, check=True).stderr
    return {"ptx": made.asm["ptx"], "registers": int(re.search(r"Used (\\d+) reg", said)[1]),
            "spilled": sum(map(int, re.findall(r"(\\d+) bytes spill", said))),
            "shared": made.metadata.shared, "threads": 32 * tile.warps}

pairs = [(torch.float16, torch.float16)]
found = {str(c): assembled(c, *pairs[0]) for c in (80, 86, 89, 90, 100, 120)}
found["90 float32"] = assembled(90, torch.float16, torch.float32)
print(json.dumps(found))
"""

REGISTERS = 65_536
"""Of a multiprocessor, on all of these."""
SHARED = {"80": 164, "86": 100, "89": 100, "90": 228, "100": 228, "120": 100, "90 float32": 228}
"""KiB of shared memory of a multiprocessor; a block takes one more than it asks for."""
THREADS = {"80": 2048, "86": 1536, "89": 1536, "90": 2048, "100": 2048, "120": 1536}


@pytest.fixture(scope="module")
def assembled() -> dict[str, dict[str, object]]:
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def blocks(name: str, found: dict[str, object]) -> int:
    """How many programs fit on a multiprocessor at once."""
    registers, threads = int(str(found["registers"])), int(str(found["threads"]))
    shared = int(str(found["shared"]))
    # Registers are given to warps in eights for each thread.
    by_registers = REGISTERS // (-(-registers // 8) * 8 * threads)
    by_threads = THREADS[name.split()[0]] // threads
    return min(by_registers, by_threads, SHARED[name] * 1024 // (shared + 1024))


def test_it_reads_and_writes_16_bytes_at_once_and_rounds_to_nearest(assembled) -> None:
    for name, found in assembled.items():
        for part in ("ld.global.v4.b32", "st.global.v4.b32", "cvt.rn.f16"):
            assert part in found["ptx"], (name, part)
        if "float32" not in name:
            assert "mma" in found["ptx"], name


def test_several_programs_fit_on_a_multiprocessor(assembled) -> None:
    """One's reading hides behind another's products; next to nothing is spilled to memory."""
    room = {name: blocks(name, found) for name, found in assembled.items()}
    assert min(room.values()) >= 3, room
    assert all(int(str(found["spilled"])) <= 16 for found in assembled.values())
