"""`loraswitch verify` with a real, tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tui_loraswitch.cli import main
from tui_loraswitch.commands import engine_run


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not end the test run in place of the engine."""
    monkeypatch.setattr(engine_run, "CLOSE_SECONDS", 60.0)


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, float]]]:
    """The stacks that are switched to, by name and UNet strength."""
    from engine.switch.switcher import LoraSwitcher

    seen: list[list[tuple[str, float]]] = []
    apply = LoraSwitcher.apply

    def watched(self: LoraSwitcher, stack: Any, *rest: Any) -> Any:
        seen.append([(ref.name, ref.unet) for ref in stack])
        return apply(self, stack, *rest)

    monkeypatch.setattr(LoraSwitcher, "apply", watched)
    return seen


def test_each_lora_once_then_the_base(tiny_checkpoint, tiny_loras, stacks, capsys) -> None:
    assert main(["verify", "--model", str(tiny_checkpoint), "--loras", str(tiny_loras)]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("base verified: 0 of 222,156 weights differ after 3 switches")
    assert output.err == ""
    assert stacks == [[("ink", 1.0)], [("neon", 1.0)], [("wash", 1.0)], []]


def test_random_switches_depend_on_the_seed_alone(
    tiny_checkpoint, tiny_loras, stacks, capsys
) -> None:
    words = ["verify", "--model", str(tiny_checkpoint), "--loras", str(tiny_loras)]
    runs = []
    for seed in ("1", "1", "2"):
        stacks.clear()
        assert main([*words, "--dtype", "bfloat16", "--switches", "4", "--seed", seed]) == 0
        assert "0 of 222,156 weights differ after 4 switches" in capsys.readouterr().out
        runs.append(list(stacks))
    assert runs[0] == runs[1] != runs[2]
    assert len(runs[0]) == 5
    assert {len(stack) for stack in runs[0][:-1]} > {1}


def test_a_changed_base_is_found(tiny_checkpoint, tiny_loras, monkeypatch, capsys) -> None:
    from engine.switch.switcher import LoraSwitcher

    apply = LoraSwitcher.apply

    def careless(self: LoraSwitcher, stack: Any, *rest: Any) -> Any:
        report = apply(self, stack, *rest)
        if not stack:
            self._parts["unet"].conv_in.weight.data[0, 0, 0, 0] += 1
        return report

    monkeypatch.setattr(LoraSwitcher, "apply", careless)
    assert main(["verify", "--model", str(tiny_checkpoint), "--loras", str(tiny_loras)]) == 1
    out = capsys.readouterr().out
    assert "NOT verified: 1 of" in out
    assert "unet.conv_in.weight" in out


def test_loras_that_do_not_fit_are_named_and_passed_over(
    tiny_checkpoint: Path, loras: Path, capsys
) -> None:
    """Of the full size's LoRAs none fits the tiny model; others are not even tried."""
    assert main(["verify", "--model", str(tiny_checkpoint), "--loras", str(loras)]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("base verified")
    assert "after 0 switches" in output.out
    refusals = output.err.splitlines()
    assert len(refusals) == 3
    assert all(line.startswith("loraswitch: ") for line in refusals)
    assert "old" not in output.err
    assert "broken" not in output.err
