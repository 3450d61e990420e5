"""`loraswitch audit` with a real, tiny model: what is left, told by an independent comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engine.bench import audit as audit_module
from engine.bench.random_loras import write_random_loras
from engine.checkpoint import open_checkpoint
from engine.switch.switcher import LoraSwitcher
from tui_loraswitch.cli import main


@pytest.fixture
def audit(tiny_checkpoint: Path, tiny_loras: Path):
    def run(*words: str) -> int:
        model = ("--model", str(tiny_checkpoint), "--dtype", "float16", "--device", "cpu")
        return main(["audit", *words, *model, "--loras", str(tiny_loras)])

    return run


def test_diffusers_leaves_something_and_we_do_not(audit, tiny_checkpoint, tmp_path, capsys) -> None:
    pytest.importorskip("peft")
    unet = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float16).pipeline.unet
    paths = write_random_loras(tmp_path, unet, 2, 2)
    assert audit(*map(str, paths), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [Path(one["lora"]).stem for one in report["loras"]] == [path.stem for path in paths]
    for one in report["loras"]:
        assert not one["diffusers_refused"]
        assert (one["ours"]["weights"], one["ours"]["tensors"], one["ours"]["largest"]) == (0, 0, 0)
        # Half floats of size 1 are about 0.001 apart.
        assert one["diffusers"]["weights"] > one["diffusers"]["tensors"] > 0
        assert 0 < one["diffusers"]["largest"] < 0.1
        assert one["diffusers"]["seconds_on"] > 0


def test_all_of_the_library_without_peft(audit, capsys, monkeypatch) -> None:
    monkeypatch.setattr(audit_module, "HAS_PEFT", False)
    assert audit() == 0
    output = capsys.readouterr()
    assert output.out.count("0 weights differ") == 3
    assert "  diffusers" not in output.out
    assert "pip install peft" in output.err


def test_a_weight_that_stays_changed_is_found(audit, capsys, monkeypatch) -> None:
    monkeypatch.setattr(audit_module, "HAS_PEFT", False)
    real = LoraSwitcher.apply

    def careless(self: LoraSwitcher, stack, *rest):
        report = real(self, stack, *rest)
        if not stack:
            name = next(n for n in self._base._owners if "to_q" in n.path)
            self._base.live(name)[0, 0] += 0.5
        return report

    monkeypatch.setattr(LoraSwitcher, "apply", careless)
    assert audit("neon") == 1
    output = capsys.readouterr()
    assert "1 weight differs, in 1 tensor, by up to 0.5" in output.out
    assert "this is a fault" in output.err


def test_what_cannot_be_audited_is_said(audit, tmp_path, capsys) -> None:
    assert audit("nothing_of_that_name") == 2
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"{")
    assert audit(str(broken)) == 1
    assert "not taken" in capsys.readouterr().out
