"""Pack what a machine without a network needs to run the benchmark beside PyTorch.

`python -m benchmarks.gpu.pack FOLDER` fetches wheels of the versions in constraints.txt, about
12 MB: those that a machine with PyTorch, transformers and accelerate lacks. There:

    python -m pip install --no-index --no-deps --find-links FOLDER -r FOLDER/packages.txt
    python -m benchmarks.gpu
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = (
    "diffusers", "importlib-metadata", "zipp",
    "msgspec", "platformdirs", "tomli-w", "torchsde", "trampoline", "nvidia-ml-py", "psutil",
    "textual", "rich", "markdown-it-py", "mdurl", "pygments",
    "lycoris-lora", "peft", "toml", "pytest", "pytest-asyncio", "iniconfig", "pluggy", "hypothesis",
    "sortedcontainers",
)  # fmt: skip
"""Of them the second half is for the tests."""

_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
_LINUX = "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"


def main() -> None:
    """Fetch the wheels, and write the list that pip installs from."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.pack", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="the version on that machine")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    pinned = list(_pinned(_CONSTRAINTS.read_text(encoding="utf-8")))
    (args.folder / "packages.txt").write_text("\n".join(pinned) + "\n", encoding="utf-8")
    platforms = (part for name in _LINUX for part in ("--platform", name))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", args.python]
    subprocess.run([*command, *platforms, "-d", str(args.folder), *pinned], check=True)
    size = sum(wheel.stat().st_size for wheel in args.folder.glob("*.whl"))
    print(f"{len(pinned)} packages, {size / 1e6:.1f} MB, in {args.folder}")


def _pinned(constraints: str) -> Iterator[str]:
    """The lines of the packages that are needed."""
    for line in constraints.splitlines():
        if line.partition("==")[0] in PACKAGES:
            yield line


if __name__ == "__main__":
    main()
