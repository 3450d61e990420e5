"""`loraswitch generate` with a real, tiny model."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from engine.generate.infotext import Infotext, parse_infotext
from engine.generate.save import read_infotext
from engine.protocol.commands import Command, Load
from engine.protocol.events import CommandFailed, Event, GenerationStep
from engine.session import Session
from tests.support.tiny_checkpoint import write_tiny_checkpoint
from tui_loraswitch.cli import main
from tui_loraswitch.commands import engine_run

QUICK = ("--steps", "1", "--sampler", "euler", "--device", "cpu")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not end the test run in place of the engine."""
    monkeypatch.setattr(engine_run, "CLOSE_SECONDS", 60.0)


@pytest.fixture
def generate(tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path) -> Any:
    """Runs the command on the tiny model; returns the exit code."""

    def run(*words: str) -> int:
        own = ("--model", str(tiny_checkpoint), "--loras", str(tiny_loras))
        return main(["generate", *own, "--output", str(tmp_path / "out"), *QUICK, *words])

    return run


def infotext(path: str) -> Infotext:
    text = read_infotext(Path(path))
    assert text is not None
    return parse_infotext(text)


def pixels(path: str) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def test_pictures_are_drawn_and_their_paths_printed(generate, tmp_path, config, capsys) -> None:
    assert generate("a fox", "--seed", "7", "--batch", "2", "--negative", "blurry") == 0
    output = capsys.readouterr()
    first, second = output.out.splitlines()
    assert [first, second] == [str(tmp_path / f"out/0000{i}-{6 + i}.png") for i in (1, 2)]
    with Image.open(first) as image:
        assert image.size == (64, 64), "the size the model was trained on"
    info = infotext(second)
    assert (info.prompt, info.negative_prompt, info.seed) == ("a fox", "blurry", 8)
    assert (info.steps, info.sampler, info.schedule) == (1, "Euler", "Automatic")
    assert output.err == ""
    assert not config.exists(), "only the app remembers its options"


def test_loras_by_option_and_by_tag(generate, tiny_loras, capsys) -> None:
    options = ("--seed", "5", "--json")
    assert generate("a fox", *options) == 0
    base = json.loads(capsys.readouterr().out)
    stack = ("--lora", "neon:0.8", "--lora", "styles/ink:0.5:0")
    assert generate("a fox <lora:WASH:0.25>", *stack, *options) == 0
    output = capsys.readouterr()
    data = json.loads(output.out)
    assert [(lora["name"], lora["unet"], lora["text_encoder"]) for lora in data["loras"]] == [
        ("neon", 0.8, 0.8),
        ("ink", 0.5, 0.0),
        ("wash", 0.25, 0.25),
    ]
    assert data["loras"][1]["path"] == str(tiny_loras / "styles/ink.safetensors")
    assert data["loras"][0]["modules"] == 70
    assert data["seed"] == 5
    assert data["seconds"] > 0
    assert data["settings"]["sampler"] == "Euler"
    assert data["settings"]["width"] == 64
    assert data["warnings"] == []
    (picture,) = data["pictures"]
    assert "<lora:neon:0.8>" in infotext(picture["path"]).prompt
    assert [name for name, _ in infotext(picture["path"]).lora_hashes] == ["neon", "ink", "wash"]
    assert pixels(picture["path"]) != pixels(base["pictures"][0]["path"])
    assert output.err == ""


def test_a_pictures_own_prompt_gives_the_same_stack(generate, config, capsys) -> None:
    """Strengths per part and block weights survive the way through the infotext and back."""
    config.write_text('[block_weights]\nFACE = "1,0.5,1,1,1,0,1,1,1,1,1,0.25"\n')
    stack = (
        *("--lora", "neon:0.8:lbw=FACE", "--lora", "styles/ink:0.5:0.25:lbw=IN04=0.5,OUT07=0"),
        *("--lora", "wash:1:0.3:te2=0.1"),
    )
    assert generate("a (fox:1.1)", "--seed", "5", "--json", *stack) == 0
    first = json.loads(capsys.readouterr().out)
    blocks = [lora["blocks"] for lora in first["loras"]]
    assert blocks == [{"IN04": 0.5, "MID": 0, "OUT05": 0.25}, {"IN04": 0.5, "OUT07": 0}, {}]
    prompt = infotext(first["pictures"][0]["path"]).prompt
    assert prompt.count("lbw=") == 2
    assert generate(prompt, "--seed", "5", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["loras"] == first["loras"]
    (one,), (other,) = first["pictures"], again["pictures"]
    assert pixels(one["path"]) == pixels(other["path"])
    assert infotext(one["path"]) == infotext(other["path"])


@pytest.mark.parametrize(
    ("words", "sampler", "schedule"),
    [
        (["--sampler", "DPM++ 2M Karras"], "DPM++ 2M", "Karras"),
        (["--sampler", "dpmpp_2m_sde_gpu", "--schedule", "sgm_uniform"], "DPM++ 2M SDE",
         "SGM Uniform"),
        (["--sampler", "euler_ancestral"], "Euler a", "Automatic"),
        (["--sampler", "k_dpmpp_2m"], "DPM++ 2M", "Karras"),
    ],
)  # fmt: skip
def test_samplers_are_named_as_elsewhere(generate, words, sampler, schedule, capsys) -> None:
    assert generate("a fox", "--seed", str(2**64 - 1), "--json", *words) == 0
    data = json.loads(capsys.readouterr().out)
    info = infotext(data["pictures"][0]["path"])
    assert (info.sampler, info.schedule, info.seed) == (sampler, schedule, 2**64 - 1)
    assert (data["settings"]["sampler"], data["seed"]) == (sampler, 2**64 - 1)


def test_a_picture_is_drawn_again_from_what_it_says(generate, config, capsys) -> None:
    """Everything that was chosen, also in the config file, is in the picture."""
    config.write_text('empty_negative = "encoded"\n')
    words = (
        *("--clip-skip", "3", "--sampler", "Euler a", "--cfg", "3.3", "--seed", "5"),
        *("--noise", "gpu", "--variation-seed", "8", "--variation-strength", "0.25"),
    )
    assert generate("a (fox:1.1), BREAK night", *words, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    info = infotext(first["pictures"][0]["path"])
    assert (info.clip_skip, info.empty_negative, info.rng) == (3, "encoded", "NV")
    assert (info.variation_seed, info.variation_strength) == (8, 0.25)
    config.write_text("")
    again = (
        *("--clip-skip", str(info.clip_skip), "--empty-negative", str(info.empty_negative)),
        *("--sampler", f"{info.sampler} {info.schedule}", "--cfg", str(info.cfg_scale)),
        *("--variation-seed", str(info.variation_seed), "--noise", str(info.noise)),
        *("--variation-strength", str(info.variation_strength)),
        *("--seed", str(info.seed), "--width", str(info.width), "--height", str(info.height)),
    )
    assert generate(info.prompt, *again, "--json") == 0
    second = json.loads(capsys.readouterr().out)
    (one,), (other,) = first["pictures"], second["pictures"]
    assert pixels(one["path"]) == pixels(other["path"])
    assert infotext(one["path"]) == infotext(other["path"])
    for changed in (
        ["--clip-skip", "2"],
        ["--empty-negative", "zeros"],
        ["--noise", "CPU"],
        ["--variation-seed", "9"],
        ["--variation-strength", "0"],
    ):
        assert generate(info.prompt, *again, *changed) == 0
        assert pixels(capsys.readouterr().out.strip()) != pixels(one["path"])


def test_tags_are_read_in_the_order_the_config_file_says(generate, config, capsys) -> None:
    config.write_text('tag_order = "unet, te"\n')
    assert generate("a fox <lora:neon:0.8:0.3>", "--json") == 0
    (lora,) = json.loads(capsys.readouterr().out)["loras"]
    assert (lora["unet"], lora["text_encoder"]) == (0.8, 0.3)


def test_embeddings_and_a_vae_are_used(generate, tmp_path, capsys) -> None:
    folder = tmp_path / "embeddings"
    folder.mkdir()
    twig = {"clip_l": np.full((2, 8), 3.0), "clip_g": np.full((2, 16), -3.0)}
    save_file({name: values.astype(np.float16) for name, values in twig.items()},
              folder / "twig.safetensors")  # fmt: skip
    other = write_tiny_checkpoint(tmp_path / "other", seed=5)
    drawn = []
    for words in ((), ("--embeddings", str(folder)), ("--vae", str(other))):
        assert generate("a twig", "--seed", "5", *words) == 0
        drawn.append(capsys.readouterr().out.strip())
    assert len({pixels(path) for path in drawn}) == 3
    assert [name for name, _ in infotext(drawn[1]).embedding_hashes] == ["twig"]
    assert [infotext(path).vae for path in drawn] == [None, None, other.stem]


def test_a_seed_is_drawn_and_told(generate, capsys) -> None:
    assert generate("a fox", "--json", "--width", "72", "--height", "88") == 0
    data = json.loads(capsys.readouterr().out)
    (picture,) = data["pictures"]
    assert data["seed"] == picture["seed"] == infotext(picture["path"]).seed >= 0
    assert (picture["width"], picture["height"]) == (72, 88)


def test_a_lora_for_another_model_is_refused_in_one_line(
    generate, write_lora, home, tmp_path, capsys
) -> None:
    other = write_lora(home / "sd15.safetensors", sdxl=False)
    assert generate("a fox", "--lora", str(other)) == 1
    output = capsys.readouterr()
    assert output.err.count("\n") == 1
    assert "this LoRA is for SD 1.5" in output.err
    assert output.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("a", "--width", "100"), "multiple of 8"),
        (("a", "--steps", "0"), "steps"),
        (("a", "--batch", "0"), "at least 1"),
        (("a", "--seed", "-5"), "seed"),
        (("a", "--variation-strength", "2"), "variation strength 2"),
        (("a", "--variation-seed", "-2"), "variation seed -2"),
        (("a", "--sampler", "dpmpp_2m_karras", "--schedule", "exponential"), "give one of them"),
        (("a", "--clip-skip", "0"), "Clip skip starts at 1"),
        (("a", "--seed", str(2**64)), "18446744073709551615"),
        (("a", "--negative", "(b:1000)"), "weight of 1000"),
        (("a" * 100_001,), "at most 100,000"),
        (("a <lora:neon:much>",), "not a number"),
        (("a <lora:nothing>",), "There is no LoRA “nothing”"),
        (("a <lora:neon:1:lbw=1,0>",), "12 or 20 numbers"),
        (("a <lora:neon:1:until=5>",), "“until=” of the LoRA neon is not known"),
        (("a <lora:neon:1:1:8>",), "“dyn=” of the LoRA neon is not known"),
        (("a", "--lora", "neon:lbw=nose"), "no block weights named 'nose'"),
        (("a", "--lora", "noen"), "Did you mean neon"),
        ((), "give a prompt"),
    ],
)
def test_what_is_wrong_is_said_before_the_model_is_loaded(
    generate, words, reason, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("engine.session.Session", None)
    assert generate(*words) == 2
    output = capsys.readouterr()
    assert reason in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""


@pytest.mark.parametrize(
    "words",
    [["--sampler", "best"], ["--sampler", "DPM++ 4M"], ["--schedule", "steep"],
     ["--seed", "x"], ["--clip-skip", "x"], ["--empty-negative", "x"], ["--lora", ""],
     ["--noise", "x"]],
)  # fmt: skip
def test_words_that_make_no_sense_leave_with_2(words, capsys) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["generate", "a", *words])
    assert leaving.value.code == 2
    assert "usage: loraswitch generate" in capsys.readouterr().err


def test_the_demo_is_named_when_no_model_is(monkeypatch, capsys) -> None:
    class NoModel(Session):
        def send(self, command: Command, id: str | None = None) -> str:
            if isinstance(command, Load):
                assert command.model is None
                self.tell(CommandFailed("load", "no demo here"), "id")
            return "id"

    monkeypatch.setattr("engine.session.Session", NoModel)
    assert main(["generate", "a fox"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "embedded demo" in first
    assert second == "loraswitch: no demo here"
    assert main(["generate", "a fox", "--demo"]) == 1
    assert capsys.readouterr().err == "loraswitch: no demo here\n"


def test_ctrl_c_cancels_within_a_step(generate, monkeypatch, tmp_path, capsys) -> None:
    steps: list[int] = []

    class InterruptedSession(Session):
        def tell(self, event: Event, answers: str | None = None) -> None:
            super().tell(event, answers)
            if isinstance(event, GenerationStep):
                steps.append(event.step)
                if event.step == 1:
                    os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("engine.session.Session", InterruptedSession)
    assert generate("a fox", "--steps", "500") == 130
    output = capsys.readouterr()
    assert output.err == "loraswitch: Cancelled.\n"
    assert output.out == ""
    assert len(steps) < 500
    assert not (tmp_path / "out").exists()


def test_an_engine_that_cannot_stop_does_not_hold_the_program(monkeypatch, capsys) -> None:
    class Busy(Session):
        def send(self, command: Command, id: str | None = None) -> str:
            if isinstance(command, Load):
                os.kill(os.getpid(), signal.SIGINT)
            return "id"

        def close(self, timeout: float) -> bool:
            super().close(timeout)
            return False

    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr("engine.session.Session", Busy)
    monkeypatch.setattr(engine_run, "end_process", end)
    with pytest.raises(SystemExit) as leaving:
        main(["generate", "a fox", "--demo"])
    assert leaving.value.code == 130
    assert capsys.readouterr().err == "loraswitch: Cancelled.\n"


def test_a_fault_of_the_program_names_the_log(monkeypatch, tiny_checkpoint, capsys) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("engine.session.loading.choose_device", broken)
    assert main(["generate", "a fox", "--model", str(tiny_checkpoint)]) == 1
    error = capsys.readouterr().err
    log = Path(os.environ["XDG_STATE_HOME"], "loraswitch", "loraswitch.log")
    assert "RuntimeError: a fault" in error
    assert str(log) in error
    assert "Traceback" not in error
    assert "Traceback" in log.read_text()
