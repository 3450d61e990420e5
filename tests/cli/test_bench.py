"""`loraswitch bench` with a real, tiny model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engine.bench import limits
from engine.bench.results import BenchReport, Limits, Peer, Switching, TierMemory
from tests.cli.terminal import loraswitch_in_terminal
from tui_loraswitch.cli import main
from tui_loraswitch.commands.bench_table import LiveTable

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products are timed for as long as it takes to see that they are."""
    monkeypatch.setattr(limits, "_PRODUCT_SECONDS", 0.001)


def bench(*words: object) -> int:
    return main(["bench", *map(str, words)])


def test_help_fits_the_terminal_and_costs_no_torch() -> None:
    code = """
import sys
from tui_loraswitch.cli import main
try:
    main(["bench", "--help"])
except SystemExit:
    assert not {"torch", "diffusers", "transformers", "textual"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "× floor" in done.stdout
    assert "15 GiB" in done.stdout
    assert "exit codes:" in done.stdout


def test_a_model_and_its_loras_in_a_table(tiny_checkpoint: Path, tiny_loras: Path, capsys) -> None:
    files = sorted(tiny_loras.rglob("*.safetensors"))
    options = [word for path in files for word in ("--lora", path)]
    model = ("--model", tiny_checkpoint, "--dtype", "float16", "--device", "cpu")
    assert bench(*model, *options, "--repeat", 1, "--no-peers") == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert lines[0].startswith("tiny · float16 · CPU, ")
    assert lines[0].endswith(" · 3 LoRAs · median of 1")
    assert "GiB/s" in lines[1]
    assert "GFLOP/s" in lines[2]
    rows = [line for line in lines if line.startswith("A to a stack of 3")]
    assert [row.split()[6] for row in rows] == ["device", "file"]
    assert not any("stack of 8  " in line for line in lines)
    assert lines[-2] == "After our switches 0 base tensors differ."
    assert lines[-1] == "Left out for want of LoRAs: a stack of 8."
    assert all(len(line) < 80 for line in lines)
    assert output.err == ""


def test_json_with_others_and_random_loras(tiny_checkpoint: Path, capsys) -> None:
    pytest.importorskip("peft")
    model = ("--model", tiny_checkpoint, "--backup", "device")
    assert bench(*model, "--rank", 2, "--repeat", 1, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert {s["tier"] for s in report["switches"]} == {"device"}
    assert len(report["loras"]) == 8
    assert "A to a stack of 8" in [s["name"] for s in report["switches"]]
    assert report["different"] == 0
    assert all(peer["times_ours"] > 0 for peer in report["peers"])
    assert "diffusers: load, fuse" in [peer["name"] for peer in report["peers"]]


def test_the_table_stays_narrow_with_others_in_it() -> None:
    """The widest names at full size, from a made-up report."""
    report = full_size()
    lines = live(report)
    assert all(len(line) < 80 for line in lines)
    assert lines[1] == "touched: 722 tensors, 4.11 GiB · bare copy 800.0 ms, 5.1 GiB/s"
    assert lines[2] == "products of A: 1.60 s in float32, 80 GFLOP/s"
    row = next(line for line in lines if line.startswith("A to B"))
    assert row.endswith("  1.2 ±  4%")
    assert [line[-10:].strip() for line in lines if line.startswith("diffusers")] == [
        "7.0 ±  8%",
        "0.02 ±  8%",
    ]
    assert lines[-1] == "After diffusers fused and unfused, 722 of 722 touched tensors differ."


def test_rows_are_written_when_they_are_known() -> None:
    whole = full_size()
    lines: list[str] = []
    output = LiveTable(lines.append)
    start = replace(whole, switches=(), peers=(), memory=(), is_complete=False)
    output.show(start)
    assert len(lines) == 3
    output.show(replace(start, switches=whole.switches[:1]))
    assert lines[-1].startswith("base to A, cold")
    output.show(replace(start, switches=whole.switches))
    assert [line.split("  ")[0] for line in lines[4:]] == [
        "switch",
        "base to A, cold, in the page cache",
        "A to B",
    ]
    few = tuple(replace(peer, runs=1) for peer in whole.peers)
    written = len(lines)
    output.show(replace(start, switches=whole.switches, peers=few))
    assert len(lines) == written, "one run of three is no row yet"
    output.finish(replace(start, switches=whole.switches, peers=few))
    assert sum(line.startswith("diffusers: ") for line in lines) == 2
    assert lines[-1].startswith("Interrupted")


def live(report: BenchReport) -> list[str]:
    lines: list[str] = []
    LiveTable(lines.append).finish(report)
    return lines


def full_size() -> BenchReport:
    """A made-up report with the widest names."""
    limits = Limits(722, 4_415_488_000, (("device", 0.8),), 128 * 10**9, 1.6)
    cold = Switching("base to A, cold, in the page cache", "device", 12.5, 11.0, 2.4, 1.23, ())
    to_b = Switching("A to B", "device", 3.0, 2.9, 2.4, 0.04, ())
    peers = (
        Peer("diffusers: unfuse, unload, load, fuse", "A to B", 21.0, 20.0, 0.08, 3),
        Peer("diffusers: set_adapters, none fused", "A to B", 0.06, 0.05, 0.08, 3),
    )
    memory = (TierMemory("device", 0, 4_500_000_000, 4_415_488_000),)
    return BenchReport(
        "random weights", "cpu", "CPU", "float16", 2, 3, ("a", "b"), limits, (cold, to_b), memory,
        peers, 0, 722, (), True,
    )  # fmt: skip


def test_a_base_that_differs_is_a_failure(tiny_checkpoint: Path, monkeypatch, capsys) -> None:
    from engine.switch.switcher import LoraSwitcher

    apply = LoraSwitcher.apply

    def careless(self: LoraSwitcher, stack):
        report = apply(self, stack)
        if not stack:
            self._base._parts["unet"].conv_in.weight.data[0, 0, 0, 0] += 1
        return report

    monkeypatch.setattr(LoraSwitcher, "apply", careless)
    assert bench("--model", tiny_checkpoint, "--repeat", 1, "--rank", 1, "--no-peers") == 1
    assert "1 base tensors differ after the switches" in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), ("--random",)])
def test_full_size_is_refused_without_the_memory(words, monkeypatch, capsys) -> None:
    class Little:
        available = 3 << 30

    monkeypatch.setattr(psutil, "virtual_memory", Little)
    assert bench(*words, "--device", "cpu") == 1
    message = capsys.readouterr().err
    assert "GiB of main memory, and 3.0 GiB are free" in message
    assert "--demo" in message


def test_a_remembered_model_is_not_what_is_measured(
    config: Path, tiny_checkpoint: Path, monkeypatch, capsys
) -> None:
    config.write_text(f'model = "{tiny_checkpoint}"\n')
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Little", (), {"available": 0}))
    assert bench("--device", "cpu") == 1
    assert "SDXL at full size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lora", "{lora}"), "--lora needs the model it is for"),
        (("--random", "--demo"), "neither with --model nor with --demo"),
        (("--model", "{model}", "--lora", "/nowhere.safetensors"), "there is no such file"),
    ],
)
def test_what_does_not_go_together(
    words: tuple[str, ...], message: str, tiny_checkpoint: Path, tiny_loras: Path, capsys
) -> None:
    lora = tiny_loras / "neon.safetensors"
    given = [word.format(model=tiny_checkpoint, lora=lora) for word in words]
    assert bench(*given) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", "many", "9999"])
def test_a_rank_is_a_number(text: str, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench("--rank", text)
    assert "is not a whole number from 1 to 1024" in capsys.readouterr().err


def small(checkpoint: Path, loras: Path) -> list[str]:
    """A run on two small LoRAs, quick but for what is repeated."""
    files = [str(loras / f"{name}.safetensors") for name in ("neon", "styles/ink")]
    options = [word for path in files for word in ("--lora", path)]
    return ["bench", "--model", str(checkpoint), *options, "--no-peers"]


def test_a_lost_connection_leaves_no_files(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    number = signal.SIGHUP
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words = [*small(tiny_checkpoint, tiny_loras), "--repeat", "1000"]
    command = [sys.executable, "-m", "tui_loraswitch", *words]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    # Shells start what runs in the background with some signals ignored.
    with subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    ) as process:
        while not list(scratch.glob("*/cold-*")):
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.05)
        try:
            # A terminal that closes can send more than one.
            process.send_signal(number)
            process.send_signal(number)
            assert process.wait(60) == 128 + number
        finally:
            process.kill()
    assert list(scratch.iterdir()) == []


def test_ctrl_c_shows_what_was_measured(tiny_checkpoint: Path, tiny_loras: Path) -> None:
    words = [*small(tiny_checkpoint, tiny_loras), "--repeat", "9"]
    with loraswitch_in_terminal(*words) as terminal:
        terminal.read_until(lambda: re.search(rb"A to B +device", terminal.screen))
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 130
    assert b" left" in terminal.screen, "the time is told meanwhile"
    text = terminal.screen.decode()
    assert "memory of “base to A” at its peak" in text
    assert "Interrupted: this is what was measured before." in text
    assert "Traceback" not in text
    assert "base tensors differ" not in text, "they were not compared"


def test_an_interrupted_run_is_json_too(tiny_checkpoint: Path, monkeypatch, capsys) -> None:
    from engine.bench import run

    measure = run.measure

    def second(case, *rest):
        if case.name == "A to B":
            raise KeyboardInterrupt
        return measure(case, *rest)

    monkeypatch.setattr(run, "measure", second)
    words = ("--model", tiny_checkpoint, "--repeat", 1, "--rank", 1, "--json")
    assert bench(*words) == 130
    report = json.loads(capsys.readouterr().out)
    assert report["is_complete"] is False
    assert [s["name"] for s in report["switches"]][-1] == "base to A"
    assert all(s["spread"] >= 0 for s in report["switches"])
    assert report["different"] is None
