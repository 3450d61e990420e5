"""The benchmarks run, and the README beside them shows what was measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import record, tables
from benchmarks.__main__ import FULL_SIZE_ONLY, NAMES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """The figures of all benchmarks in small, by name."""
    pytest.importorskip("peft")

    def figures_of(names: list[str], cache: Path) -> dict[str, dict[str, object]]:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "--quick", *names],
            cwd=ROOT,
            env={**os.environ, "XDG_CACHE_HOME": str(cache)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        figures: dict[str, dict[str, object]] = {}
        for line in done.stdout.splitlines():
            figures |= json.loads(line)
        return figures

    # Half of the time they wait for what a terminal shows.
    names = [name for name in NAMES if name not in FULL_SIZE_ONLY]
    # Two threads that ask for the first folder at once would both make the one above it.
    caches = [tmp_path_factory.mktemp("cache") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(figures_of, (names[::2], names[1::2]), caches)
    return one | other


def test_each_benchmark_runs_in_small(quick: dict[str, dict[str, object]]) -> None:
    assert quick.keys() == set(NAMES) - set(FULL_SIZE_ONLY)


def test_our_merge_is_nearer_to_the_exact_one_than_the_others(quick) -> None:
    for stack in quick["merge_accuracy"]["stacks"]:
        shares = stack["share_equal"]
        assert shares["ours"] > 0.999 > shares["rounded_deltas"]
        assert shares["ours"] > shares["diffusers_fuse"]


def test_a_table_is_made_of_every_result(quick, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    for name, figures in quick.items():
        record.record(name, figures)
        text = tables.section(name)
        assert "\n|---|--:" in text
        assert "torch" in text.splitlines()[-1]
    assert "| A to B | device | " in tables.section("switching")
    assert "| while loading | " in tables.section("keys")


def test_the_readme_shows_the_results() -> None:
    text = tables.README.read_text(encoding="utf-8")
    assert tables.filled(text) == text, "run: python -m benchmarks.tables"
    for name in NAMES:
        assert f"<!-- results: {name} -->" in text


def test_what_was_not_measured_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = "a\n<!-- results: keys -->\nold\n<!-- end -->\nb\n"
    filled = tables.filled(text)
    assert filled == "a\n<!-- results: keys -->\n\n(not measured yet)\n\n<!-- end -->\nb\n"
    assert tables.filled(filled) == filled
