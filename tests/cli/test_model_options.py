"""`--parts-from` and `--prediction`: given, checked, remembered for each model, and obeyed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from engine.generate.infotext import parse_infotext
from engine.generate.save import read_infotext
from engine.sdxl.prediction import PREDICTION_CHOICES
from tests.support.tiny_checkpoint import rewrite_checkpoint
from tui_loraswitch.cli import _parser, main
from tui_loraswitch.commands import engine_run
from tui_loraswitch.commands.options import settings_from
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.config.config import ConfigError
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.load_command import load_command


def settings_of(*words: str) -> AppSettings:
    return settings_from(_parser(words).parse_args(words))


def asked_of(settings: AppSettings, model: Path | None) -> tuple[Any, ...]:
    """What the engine is asked for."""
    command = load_command(settings, model)
    return command.model, command.parts_from, command.prediction


@pytest.fixture
def unet(tiny_checkpoint: Path, home: Path) -> Path:
    """The tiny model's UNet alone."""
    tensors = {k: t for k, t in load_file(tiny_checkpoint).items() if "diffusion_model" in k}
    save_file(tensors, home / "alone.safetensors")
    return home / "alone.safetensors"


def test_each_model_has_a_prediction_of_its_own(config: Path) -> None:
    config.write_text(
        'model = "/m.safetensors"\n[predictions]\n"/m.safetensors" = "v"\n"/n" = "epsilon"\n'
    )
    m, n = Path("/m.safetensors"), Path("/n")
    settings = settings_of()
    assert settings.predictions == {m: "v", n: "epsilon"}
    assert asked_of(settings, m) == (m, None, "v")
    assert asked_of(settings, Path("/other")) == (Path("/other"), None, None)
    assert settings_of("--prediction", "v-zsnr").predictions == {m: "v-zsnr", n: "epsilon"}
    assert settings_of("--prediction", "auto").predictions == {n: "epsilon"}
    demo = settings_of("--demo", "--prediction", "v")
    assert asked_of(demo, None) == (None, None, "v")
    assert demo.remembered_predictions == {m: "v", n: "epsilon"}


@pytest.mark.parametrize(
    "table", ['"v"', "[]", '{"/m" = "x0"}', '{"/m" = 1}', '{"a\\u0000" = "v"}']
)
def test_predictions_that_make_no_sense_are_named(config: Path, table: str) -> None:
    config.write_text(f"predictions = {table}\n")
    with pytest.raises(ConfigError, match="line 1: predictions must be a table"):
        settings_of()


def test_a_prediction_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings_of("--prediction", "x0")
    said = capsys.readouterr().err
    assert all(choice in said for choice in PREDICTION_CHOICES)


def test_the_lender_is_given_or_remembered(config: Path, tiny_checkpoint: Path) -> None:
    assert settings_of().parts_from is None
    config.write_text('model = "/m"\nparts_from = "/whole"\n')
    assert settings_of().parts_from == Path("/whole")
    assert settings_of("--parts-from", "auto").parts_from is None
    assert settings_of("--demo").parts_from is None
    given = settings_of("--parts-from", str(tiny_checkpoint))
    assert asked_of(given, Path("/m"))[1] == tiny_checkpoint
    assert asked_of(given, None)[1] is None, "the demo is whole"


def test_a_unet_alone_needs_a_lender_that_is_a_model(
    unet: Path, home: Path, loras: Path, tiny_checkpoint: Path
) -> None:
    with pytest.raises(UsageError, match=r"this is a UNet alone; name a whole SDXL.*--parts-from"):
        settings_of("--model", str(unet))
    assert settings_of("--model", str(unet), "--parts-from", str(tiny_checkpoint)).model == unet
    for other, words in ((loras, "no diffusers model"), (loras / "Aya.safetensors", "a LoRA")):
        with pytest.raises(UsageError, match=f"--parts-from .*{words}"):
            settings_of("--model", str(unet), "--parts-from", str(other))


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not end the test run in place of the engine."""
    monkeypatch.setattr(engine_run, "CLOSE_SECONDS", 60.0)


@pytest.mark.usefixtures("patience")
def test_a_picture_of_a_unet_alone_that_predicts_v(
    unet: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def pixels(*words: str) -> tuple[bytes, dict[str, Any], str]:
        quick = ("--steps", "1", "--sampler", "euler", "--device", "cpu", "--seed", "1", "--json")
        assert main(["generate", "a fox", *quick, *words]) == 0
        output = capsys.readouterr()
        data = json.loads(output.out)
        path = Path(data["pictures"][0]["path"])
        info = parse_infotext(read_infotext(path) or "")
        assert info.parts_from == tiny_checkpoint.stem
        assert (info.prediction or "epsilon") == data["model"]["prediction"]
        return path.read_bytes(), data["model"], output.err

    alone = ("--model", str(unet), "--parts-from", str(tiny_checkpoint))
    one, model, said = pixels(*alone)
    assert model["prediction"] == "epsilon"
    assert "alone.safetensors has no text encoders and VAE: tiny.safetensors's are used" in said
    other, model, _ = pixels(*alone, "--prediction", "v")
    assert model["prediction"] == "v"
    assert one != other


@pytest.mark.usefixtures("patience")
def test_a_damaged_model_is_said(
    tiny_checkpoint: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = rewrite_checkpoint(
        tiny_checkpoint, home, lambda t: t["model.diffusion_model.out.2.bias"].fill_(float("nan"))
    )
    assert main(["generate", "a fox", "--model", str(path), "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "model.diffusion_model.out.2.bias holds 4 values that are not finite" in said
