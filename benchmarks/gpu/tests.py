"""The tests that need a GPU, and the sanitizer of CUDA over a small merge."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from benchmarks.gpu.bench import Bench

FILES = (
    "tests/switch/test_kernel.py",
    "tests/switch/test_cuda.py",
    "tests/modes/test_cuda.py",
)
_ROOT = Path(__file__).parents[2]
_SECONDS = 100.0


def run(bench: Bench) -> None:
    """Run each file by itself, so that one fault of the GPU does not hide the others."""
    for file in FILES:
        with bench.trying(file), TemporaryDirectory() as folder:
            _test(bench, file, Path(folder) / "report.xml")
    with bench.trying("compute-sanitizer"):
        _sanitize(bench)


def _test(bench: Bench, file: str, report: Path) -> None:
    command = [sys.executable, "-m", "pytest", file, "-q", "-rfEs", f"--junit-xml={report}"]
    done = subprocess.run(
        command, cwd=_ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if not report.exists():
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(f"pytest ended with code {done.returncode}: {' / '.join(lines[-3:])}")
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        for kind in ("failure", "error", "skipped"):
            for found in case.iter(kind):
                reason = " ".join(found.get("message", "").split())[:300]
                bench.say(f"{file}::{case.get('name')}", kind, note=reason)
    counts = next(ElementTree.parse(report).getroot().iter("testsuite")).attrib
    failed = int(counts["failures"]) + int(counts["errors"])
    note = f"of {counts['tests']} tests, {counts['skipped']} skipped, in {counts['time']} s"
    bench.say(f"{file}: failed", failed, predicted=0, note=note)


def _sanitize(bench: Bench) -> None:
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        bench.skip("compute-sanitizer", "it is not installed")
        return
    for check in ("memcheck", "racecheck"):
        command = [tool, "--tool", check, "--error-exitcode", "99", sys.executable]
        done = subprocess.run(
            [*command, "-m", "benchmarks.gpu.small_merge"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        last = (done.stdout.strip().splitlines() or [""])[-1]
        bench.say(f"compute-sanitizer {check}: exit code", done.returncode, predicted=0, note=last)
