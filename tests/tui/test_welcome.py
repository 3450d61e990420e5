"""The first start: what it finds in the usual places, and what comes of each answer."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest
from msgspec import structs
from textual.events import AppBlur

from engine.demo import DEMO_MODEL
from engine.protocol.commands import Load
from tests.tui.conftest import MODEL, write_lora
from tui_loraswitch.app import welcoming
from tui_loraswitch.control import first_models, model_files
from tui_loraswitch.control.model_files import ModelFile
from tui_loraswitch.control.usual_places import usual_places
from tui_loraswitch.screens.welcome import WelcomeScreen


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with ComfyUI in it, and a cache of Hugging Face."""
    home = tmp_path / "home"
    for folder in ("ComfyUI/models/checkpoints", "ai/stable-diffusion-webui-forge/models"):
        (home / folder).mkdir(parents=True)
    write_lora(home / "ComfyUI/models/loras/owl.safetensors")
    (home / ".cache/huggingface/hub").mkdir(parents=True)
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    return home


def test_places_of_other_programs(home, tmp_path):
    (home / "stable-diffusion-webui").symlink_to(home / "nowhere")
    places = [place for place in usual_places(home, tmp_path) if home in place.models[0].parents]
    assert [place.program for place in places] == ["ComfyUI", "Hugging Face"]
    assert places[0].loras == (home / "ComfyUI/models/loras",)


def test_one_process_checks_the_models_of_all_places(home, tmp_path, monkeypatch):
    started: list[object] = []

    class Checks(contextlib.nullcontext):
        def __enter__(self):
            started.append(self)
            return self

        def check(self, path, parts_from=None):
            assert self in started

    for program, folder in (("ComfyUI", "checkpoints"), ("Fooocus", "checkpoints")):
        model = home / program / "models" / folder / f"of {program}.safetensors"
        model.parent.mkdir(parents=True, exist_ok=True)
        model.symlink_to(DEMO_MODEL)
    monkeypatch.setattr(first_models, "ModelChecks", Checks)
    monkeypatch.setattr(model_files, "ModelChecks", Checks)
    found: list[first_models.FirstModel] = []
    first_models.find_first_models(home, tmp_path, found.append, lambda: False)
    assert {one.place.program for one in found} >= {"ComfyUI", "Fooocus"}
    assert len(started) == 1


def found_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have one model found there, and wait for nothing else."""
    path = home / "ComfyUI/models/checkpoints/dream.safetensors"

    def find(folders, beside, report, is_cancelled, checks):
        if path.parent in folders:
            report(ModelFile(path, "dream", 6_900_000_000, "SDXL"))
            report(ModelFile(path, "flux", 1, "Flux"))
        return []

    monkeypatch.setattr(first_models, "find_models", find)
    return path


async def test_a_model_opens_with_the_loras_beside_it(
    start, session, settings, home, monkeypatch, tmp_path
):
    path = found_in(home, monkeypatch)
    first = structs.replace(settings, model=None, loras=(), is_first_start=True,
                    config_path=tmp_path / "config.toml")  # fmt: skip
    async with start(settings=first) as driver:
        assert isinstance(driver.app.screen, WelcomeScreen)
        await driver.sees("dream", "6.90 GB · ComfyUI · 1 LoRA folder", "the demo")
        assert "flux" not in driver.text
        await driver.press("home", "enter")
        await driver.until(lambda: Load(path) in session.sent(Load))
        await driver.until(lambda: driver.app.main.library.view.total)
        assert [row.entry.name for row in driver.list.rows] == ["owl"]
        await driver.until(lambda: (tmp_path / "config.toml").exists())
        await driver.until(lambda: "ComfyUI/models/loras" in (tmp_path / "config.toml").read_text())
        await driver.press("q")
        await driver.until(lambda: not driver.app.is_running)
    async with start(settings=first) as driver:
        assert not isinstance(driver.app.screen, WelcomeScreen), "it is asked once"


async def test_the_demo_is_one_key_away_and_a_path_may_be_typed(
    start, session, settings, home, monkeypatch, tmp_path
):
    found_in(home, monkeypatch)
    first = structs.replace(
        settings, model=None, is_first_start=True, state_path=tmp_path / "a.json"
    )
    async with start(60, 15, settings=first) as driver:
        await driver.sees("the demo")
        await driver.press("escape")
        assert driver.app.screen is driver.app.main
        assert len(session.sent(Load)) == 1
        assert any("the demo in five keys" in line for line in driver.log)
    model = tmp_path / "own.safetensors"
    model.touch()
    first = structs.replace(first, state_path=tmp_path / "b.json")
    async with start(settings=first) as driver:
        await driver.press("tab", *"/nowhere", "enter")
        await driver.sees("/nowhere is not there")
        driver.app.screen.focused.value = str(model)
        await driver.press("enter")
        await driver.until(lambda: Load(model) in session.sent(Load))


async def test_keys_work_where_the_question_came_while_another_window_was_seen(
    start, home, monkeypatch
):
    found_in(home, monkeypatch)
    async with start() as driver:
        driver.app.post_message(AppBlur())
        await driver.until(lambda: not driver.app.app_focus)
        welcoming.welcome(driver.app)
        await driver.sees("dream", "the demo")
        await driver.press("end", "enter")
        assert driver.app.screen is driver.app.main


async def test_looking_ends_with_the_question(start, settings, home, monkeypatch, tmp_path):
    asked = threading.Event()
    cancelled = threading.Event()

    def find(home, here, note, is_cancelled):
        asked.set()
        while not is_cancelled():
            threading.Event().wait(0.01)
        cancelled.set()

    monkeypatch.setattr(first_models, "find_first_models", find)
    async with start(settings=structs.replace(settings, model=None, is_first_start=True)) as driver:
        await driver.until(asked.is_set)
        await driver.press("escape")
        await driver.until(cancelled.is_set)
    assert welcoming._machine_words()


async def test_the_demo_says_what_to_try_where_its_first_picture_will_be(start) -> None:
    async with start(80, 24) as driver:
        await driver.load(structs.replace(MODEL, is_demo=True, default_size=192))
        await driver.sees("g draws a picture", "Space stacks another one", "the demo draws cat")
        await driver.pilot.resize_terminal(60, 15)
        await driver.press("1")
        await driver.load(structs.replace(MODEL, default_size=1024))
        await driver.sees("g draws a picture")
        await driver.until(lambda: "Space stacks another one" not in driver.text)
