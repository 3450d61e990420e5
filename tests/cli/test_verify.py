"""`loraswitch verify` with a real, tiny model."""

from __future__ import annotations

import json
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
            self._base._parts["unet"].conv_in.weight.data[0, 0, 0, 0] += 1
        return report

    monkeypatch.setattr(LoraSwitcher, "apply", careless)
    assert main(["verify", "--model", str(tiny_checkpoint), "--loras", str(tiny_loras)]) == 1
    out = capsys.readouterr().out
    assert "NOT verified: 1 of" in out
    assert "unet.conv_in.weight" in out


@pytest.mark.parametrize("is_sound", [True, False])
def test_json_holds_the_verdict(
    tiny_checkpoint, tiny_loras, loras, monkeypatch, capsys, is_sound: bool
) -> None:
    from engine.switch.switcher import LoraSwitcher

    apply = LoraSwitcher.apply

    def careless(self: LoraSwitcher, stack: Any, *rest: Any) -> Any:
        report = apply(self, stack, *rest)
        if not stack and not is_sound:
            self._base._parts["unet"].conv_in.weight.data[0, 0, 0, 0] += 1
        return report

    monkeypatch.setattr(LoraSwitcher, "apply", careless)
    folders = ("--loras", str(loras), "--loras", str(tiny_loras))
    code = main(["verify", "--model", str(tiny_checkpoint), *folders, "--json"])
    assert code == (0 if is_sound else 1)
    found = json.loads(capsys.readouterr().out)
    assert found["verified"] is is_sound
    assert found["different"] == ([] if is_sound else ["unet.conv_in.weight"])
    assert (found["switches"], found["weights"]) == (3, 222_156)
    assert found["checked"] > 100
    assert len(found["refusals"]) == 3
    assert found["model"]["path"] == str(tiny_checkpoint)
    assert (found["model"]["dtype"], found["model"]["vae_dtype"]) == ("float32", "float32")
    assert found["seconds"] >= 0


def test_loras_that_do_not_fit_are_named_and_passed_over(
    tiny_checkpoint, tiny_loras, loras, capsys
) -> None:
    """Of the full size's LoRAs none fits the tiny model; others are not even tried."""
    folders = ("--loras", str(loras), "--loras", str(tiny_loras))
    assert main(["verify", "--model", str(tiny_checkpoint), *folders]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("base verified")
    assert "after 3 switches" in output.out
    refusals = output.err.splitlines()
    assert len(refusals) == 3
    assert all(line.startswith("loraswitch: ") for line in refusals)
    assert "old" not in output.err
    assert "broken" not in output.err


def test_without_a_switch_nothing_is_proven(tiny_checkpoint, loras, home, capsys) -> None:
    (home / "empty").mkdir()
    for folder, refusals in ((loras, 3), (home / "empty", 0)):
        assert main(["verify", "--model", str(tiny_checkpoint), "--loras", str(folder)]) == 1
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.count("\n") == refusals + 1
        assert "nothing is proven" in output.err.splitlines()[-1]


def test_a_refusal_after_a_switch_is_passed_over_and_said_once(
    tiny_checkpoint, tiny_loras, write_lora, tmp_path, capsys
) -> None:
    misfit = write_lora(tmp_path / "more/misfit.safetensors")
    words = ["verify", "--model", str(tiny_checkpoint), "--loras", str(tiny_loras)]
    assert main([*words, "--loras", str(misfit.parent), "--switches", "8", "--seed", "3"]) == 0
    output = capsys.readouterr()
    assert "base verified" in output.out
    assert output.err.count("misfit") == output.err.count("\n") == 1


def _break_the_second(monkeypatch: pytest.MonkeyPatch, name: str, then: Any = None) -> None:
    """Let a method of the switcher raise from its second call on."""
    from engine.switch.switcher import LoraSwitcher

    whole, calls = getattr(LoraSwitcher, name), []

    def broken(self: LoraSwitcher, *rest: Any) -> Any:
        calls.append(name)
        if len(calls) < 2:
            return whole(self, *rest)
        if then:
            then(self)
        raise RuntimeError("the bus is down")

    monkeypatch.setattr(LoraSwitcher, name, broken)


def _lose_the_base(switcher: Any) -> None:
    base = switcher._base
    base._fingerprints = dict.fromkeys(base._fingerprints)


@pytest.mark.parametrize(
    ("place", "then", "words"),
    [
        ("apply", None, "loraswitch.log"),
        ("_write", None, "the base model is live again: the bus is down"),
        ("_write", _lose_the_base, "could not be brought back"),
    ],
)
def test_a_fault_is_no_refusal(
    tiny_checkpoint, tiny_loras, monkeypatch, capsys, place, then, words
) -> None:
    _break_the_second(monkeypatch, place, then)
    assert main(["verify", "--model", str(tiny_checkpoint), "--loras", str(tiny_loras)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert words in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("number", ["0", "-5", "many", "1.5"])
def test_a_number_of_switches_that_makes_no_sense(number: str, capsys) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["verify", "--switches", number])
    assert leaving.value.code == 2
    assert "use 1 or more" in capsys.readouterr().err
