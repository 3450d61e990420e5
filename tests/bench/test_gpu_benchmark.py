"""The GPU's benchmark: it runs in small without one, and no section takes the others along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.gpu import watch
from benchmarks.gpu.report import as_markdown, as_text, table
from benchmarks.gpu.sections import SECTIONS, Section

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def quick() -> tuple[list[dict[str, object]], str]:
    """What a quick run on the CPU finds, and what it prints for people."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--quick", "--only", ",".join(SECTIONS)],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_every_section_runs_in_small_or_says_what_it_lacks(quick) -> None:
    results, _ = quick
    assert {result["section"] for result in results} == set(SECTIONS)
    assert [result for result in results if "error" in result] == []
    for name, section in SECTIONS.items():
        ends = [r for r in results if (r["section"], r["name"]) == (name, "the section")]
        assert len(ends) == 1
        lacks = ends[0].get("skipped")
        assert lacks == ("no CUDA device" if section.needs_cuda else None)


def test_its_weights_are_exact_and_its_bases_untouched(quick) -> None:
    results, _ = quick
    shares = [r["measured"] for r in results if r["section"] == "exact" and "equal" in r["name"]]
    different = [r["measured"] for r in results if "tensors that differ" in str(r["name"])]
    assert len(shares) == 4
    assert min(shares) > 0.999
    assert len(different) >= 4
    assert set(different) == {0}


def test_a_table_ends_it(quick) -> None:
    results, shown = quick
    rows = table(results)
    assert as_text(rows).splitlines()[-1] in shown
    assert all(len(row) == len(rows[0]) for row in rows)
    assert len(list(as_markdown(results))) == len(rows) + 1


CHILD = """
import json, sys, time, os
def tell(**message): print(json.dumps(message), flush=True)
for name in sys.argv[3:]:
    tell(begins=name)
    if name == "crash": os._exit(7)
    if name == "hang": time.sleep(600)
    tell(section=name, name="a figure", measured=1.0)
    tell(ends=name)
"""


def found(
    names: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    device: str = "cuda:0",
    is_quick: bool = False,
    budget: float = 60,
) -> dict[str, list[object]]:
    """What is told of each section, by a child that does nothing but go wrong."""
    sections = {name: Section(30.0) for name in ("good", "better", "crash")}
    sections |= {"hang": Section(0.2), "gpu": Section(30.0, needs_cuda=True)}
    monkeypatch.setattr(watch, "SECTIONS", sections)
    monkeypatch.setattr(watch, "QUICK_SECONDS", 0.4)
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    plan = watch.Plan(device, is_quick, budget, child=(str(script),))
    told: dict[str, list[object]] = {}
    for result in watch.run_sections(names, plan):
        words = result.get("error") or result.get("skipped") or result["name"]
        told.setdefault(str(result["section"]), []).append(words)
    return told


@pytest.mark.parametrize("is_quick", [False, True])
def test_a_crash_and_a_standstill_leave_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_quick: bool
) -> None:
    told = found(
        ("good", "crash", "hang", "gpu", "better"), monkeypatch, tmp_path, is_quick=is_quick
    )
    assert told["good"] == told["better"] == told["gpu"] == ["a figure", "the section"]
    assert told["crash"] == ["its process ended with code 7"]
    assert str(told["hang"]).startswith("['stopped after")


def test_what_there_is_no_time_or_no_gpu_for_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = found(("gpu", "good"), monkeypatch, tmp_path, device="cpu", budget=0)
    assert told == {"gpu": ["no CUDA device"], "good": ["the budget of 0 s is spent"]}
