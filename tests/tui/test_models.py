"""Choosing a model: what lies in the folders, the screen, loading and what goes wrong with it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from safetensors.numpy import save_file

from engine.client.model_checks import ModelChecks
from engine.demo import DEMO_LORAS
from engine.protocol.commands import Load
from engine.protocol.events import (
    CommandFailed,
    LoadProgress,
    ModelLoaded,
    StateChanged,
    Verified,
)
from engine.protocol.reports import VerifyReport
from tests.tui.conftest import MODEL, write_lora
from tui_loraswitch.control.model_files import ModelFile, find_models
from tui_loraswitch.panes.messages import ModelsFound
from tui_loraswitch.panes.prompt import PromptField
from tui_loraswitch.screens.models import ModelsScreen

ZEROS = np.zeros((4, 4), np.float16)
SD15 = {
    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight":
        np.zeros((320, 768), np.float16),
    "cond_stage_model.transformer.text_model.final_layer_norm.bias": ZEROS,
}  # fmt: skip

UNET = {
    "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight":
        np.zeros((640, 2048), np.float16),
    "model.diffusion_model.label_emb.0.0.weight": ZEROS,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_process_checks() -> Iterator[None]:
    """To start it takes longer than all that it is asked here."""
    with ModelChecks() as checks, pytest.MonkeyPatch.context() as patch:
        patch.setattr("tui_loraswitch.control.model_files.ModelChecks", lambda: nullcontext(checks))
        yield


def found_in(folders: list[Path], beside: Path | None = None) -> tuple[list[ModelFile], list[str]]:
    models: list[ModelFile] = []
    problems = find_models(folders, beside, models.append, lambda: False)
    return models, problems


def write_diffusers(folder: Path, kind: str) -> Path:
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    (folder / "unet" / "config.json").write_text(json.dumps({"in_channels": 4}))
    save_file({"down_blocks.0.x": ZEROS}, folder / "unet/diffusion_pytorch_model.safetensors")
    return folder


def test_models_are_told_by_their_headers(tmp_path: Path, tiny_checkpoint: Path) -> None:
    """Whole models with a reason where they cannot be opened; LoRAs, VAEs and parts are none."""
    root = tmp_path / "models"
    write_lora(root / "lora.safetensors")
    save_file({"decoder.conv_in.bias": ZEROS}, root / "vae.safetensors")
    save_file(SD15, root / "old.safetensors")
    save_file({"model.diffusion_model.out.2.bias": ZEROS}, root / "unet.safetensors")
    save_file(UNET, root / "alone.safetensors")
    (root / "cut.safetensors").write_bytes((root / "old.safetensors").read_bytes()[:-8])
    write_diffusers(root / "deep" / "sd15", "StableDiffusionPipeline")
    (root / "deep" / "tiny.safetensors").symlink_to(tiny_checkpoint)
    (root / "deep" / "loop").symlink_to(root)
    models, problems = found_in([root, root / "deep", tmp_path / "gone"])
    by_name = {model.name: model for model in models}
    assert {name: model.kind for name, model in by_name.items()} == {
        "cut": "unreadable", "old": "SD 1.5", "unet": "UNet alone", "alone": "UNet alone",
        "sd15/": "not SDXL", "tiny": "SDXL",
    }  # fmt: skip
    assert len(models) == len(by_name), "no folder is looked into twice"
    assert by_name["tiny"].problem == ""
    assert by_name["tiny"].size == tiny_checkpoint.stat().st_size
    assert "truncated" in by_name["cut"].problem
    assert "SD 1.5" in by_name["old"].problem
    assert "StableDiffusionPipeline" in by_name["sd15/"].problem
    assert by_name["sd15/"].size > 0
    assert "--parts-from MODEL" in by_name["alone"].problem
    (problem,) = problems
    assert "gone" in problem


def test_below_a_folder_that_was_not_named_only_diffusers_models_are_looked_for(
    tmp_path: Path,
) -> None:
    save_file(SD15, tmp_path / "beside.safetensors")
    write_diffusers(tmp_path / "folder", "FluxPipeline")
    (tmp_path / "documents" / "deep").mkdir(parents=True)
    save_file(SD15, tmp_path / "documents" / "far.safetensors")
    write_diffusers(tmp_path / "documents" / "deep" / "far", "FluxPipeline")
    models, problems = found_in([], tmp_path / "current.safetensors")
    assert [model.name for model in models] == ["beside", "folder/"]
    assert problems == []


def test_a_search_stops_when_nobody_looks_and_bears_any_path(tmp_path: Path) -> None:
    save_file(SD15, tmp_path / "one.safetensors")
    models: list[ModelFile] = []
    assert find_models([tmp_path], None, models.append, lambda: True) == []
    assert models == []
    assert found_in([Path("/a\0b")], Path("/c\0d/e")) == ([], [])


A = ModelFile(Path("/models/alpha.safetensors"), "alpha", 6_940_000_000, "SDXL")
B = ModelFile(MODEL.path, MODEL.name, 6_940_000_000, "SDXL")
OLD = ModelFile(Path("/models/old.safetensors"), "old", 2_130_000_000, "SD 1.5", "old is SD 1.5.")


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> list[ModelFile]:
    """What the search finds."""
    models = [OLD, B, A]

    def find(folders, beside, on_found, is_cancelled, parts_from):
        for model in models:
            on_found(model)
        return []

    monkeypatch.setattr("tui_loraswitch.control.model_files.find_models", find)
    return models


async def open_list(driver) -> ModelsScreen:
    await driver.press("m")
    screen = driver.app.screen
    assert isinstance(screen, ModelsScreen)
    await driver.until(lambda: screen._is_complete)
    await driver.pilot.pause()
    return screen


def names(screen: ModelsScreen) -> list[str]:
    return [model.name for model in screen._shown]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_models_are_listed_by_name_the_demo_last(start, settings, shelf, size):
    async with start(*size, settings=structs.replace(settings, model=MODEL.path)) as driver:
        await driver.load()
        screen = await open_list(driver)
        assert names(screen) == ["alpha", "old", "sd_xl_base_1.0", "demo (tiny SDXL, embedded)"]
        rows = [line for line in driver.screen if "GB" in line or "MB" in line]
        assert ["○ alpha" in rows[0], "! old" in rows[1], "● sd_xl" in rows[2]] == [True] * 3
        assert all(kind in row for kind, row in zip(("SDXL", "SD 1.5"), rows, strict=False))
        assert "6.94 GB" in rows[0]
        assert str(MODEL.path) in driver.text, "the cursor is on the loaded model"
        await driver.press("up")
        assert "old is SD 1.5." in driver.text
        await driver.press("enter")
        assert driver.app.screen is screen, "what cannot be opened is not chosen"
        await driver.press("escape")
        assert driver.app.screen is driver.app.main
        assert screen.closed.is_set()


async def test_typing_filters_and_enter_loads(start, session, settings, shelf):
    settings = structs.replace(settings, device="cuda:1", dtype="float16", backup="cpu")
    async with start(settings=settings) as driver:
        await driver.load()
        screen = await open_list(driver)
        await driver.press(*"alph")
        assert names(screen) == ["alpha"]
        await driver.press("enter")
        assert session.sent(Load)[-1] == Load(A.path, "cuda:1", "float16", "cpu")
        assert driver.app.screen is driver.app.main


async def test_tab_says_what_the_model_predicts_and_it_is_remembered(
    start, session, settings, shelf, tmp_path
):
    config = tmp_path / "config" / "config.toml"
    settings = structs.replace(settings, config_path=config, predictions={B.path: "epsilon"})
    async with start(settings=settings) as driver:
        await driver.load()
        await open_list(driver)
        assert "predicts the noise (epsilon) · Tab changes" in driver.text
        await driver.press(*"alph")
        assert "predicts what its files say · Tab changes" in driver.text
        await driver.press("tab", "tab")
        assert "predicts v · Tab changes" in driver.text
        await driver.press("enter")
        assert session.sent(Load)[-1] == Load(A.path, prediction="v")
        await driver.load(structs.replace(MODEL, name="alpha", path=A.path, prediction="v"))
        assert "it predicts v" in driver.log
        await driver.until(lambda: "predictions" in config.read_text())
        kept = {str(A.path): "v", str(B.path): "epsilon"}
        assert tomllib.loads(config.read_text())["predictions"] == kept
        await open_list(driver)
        assert "predicts v · Tab changes" in driver.text
        await driver.press("tab", "tab", "escape")
        await open_list(driver)
        assert "predicts v · Tab changes" in driver.text, "Escape leaves it as it was"
        await driver.press("tab", "tab", "enter")
        assert session.sent(Load)[-1] == Load(A.path)
        await driver.until(
            lambda: tomllib.loads(config.read_text())["predictions"] == {str(B.path): "epsilon"}
        )


async def test_what_cannot_be_opened_predicts_nothing(start, session, shelf):
    async with start() as driver:
        await driver.load()
        await open_list(driver)
        await driver.press(*"old", "tab")
        assert "predicts" not in driver.text


async def test_what_is_unusual_about_a_model_is_said(start):
    async with start() as driver:
        await driver.emit(ModelLoaded(MODEL, 1.0, ("It is a distilled SDXL.",)))
        assert "It is a distilled SDXL." in driver.log
        assert "It is a distilled SDXL." in driver.toasts


async def test_the_demo_is_chosen_and_brings_its_loras(start, session, shelf):
    async with start() as driver:
        await driver.load()
        await open_list(driver)
        await driver.press("pagedown", "enter")
        assert session.sent(Load)[-1] == Load(None)
        await driver.emit(
            StateChanged("empty"),
            ModelLoaded(structs.replace(MODEL, is_demo=True), 1.0),
        )
        await driver.until(
            lambda: (
                DEMO_LORAS
                in (place.folder.root for place in driver.app.main.library.view.index.places)
            )
        )


async def test_the_list_grows_under_a_cursor_that_stays(start, shelf):
    async with start() as driver:
        await driver.load()
        screen = await open_list(driver)
        await driver.press("down", "down")
        highlighted = screen._highlighted
        new = ModelFile(Path("/models/aaa.safetensors"), "aaa", 1, "SDXL")
        screen.post_message(ModelsFound((*shelf, new), (), is_complete=True))
        await driver.until(lambda: "aaa" in names(screen))
        assert screen._highlighted == highlighted


async def test_the_former_stack_is_wanted_on_the_new_model_too(start, session, shelf):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await open_list(driver)
        await driver.press(*"alph", "enter")
        await driver.emit(StateChanged("empty"), LoadProgress("Reading alpha", 1, 2))
        assert "alpha 50 %" in driver.screen[0]
        assert "◌ ink" in driver.text, "it is still wanted"
        await driver.press("v")
        await driver.load(structs.replace(MODEL, name="alpha", path=A.path))
        await driver.begin()
        assert "▸ verifying" in driver.screen[0], "it has waited for the model"
        await driver.emit(Verified(VerifyReport(1, (), 1), 0.1))
        await driver.begin()
        assert driver.screen[0].rstrip().endswith("◌ switching to ink 1.00")
        await driver.confirm()
        assert driver.screen[0].rstrip().endswith("● ink 1.00")


async def test_what_is_wished_while_a_model_loads_is_done_afterwards(start, session):
    async with start() as driver:
        await driver.emit(LoadProgress("Reading x", 1, 2))
        for name, key in (("ink", "enter"), ("neon", "space")):
            await driver.highlight(name)
            await driver.press(key)
        assert "◌ ink" in driver.text
        await driver.load()
        await driver.begin()
        assert driver.screen[0].rstrip().endswith("◌ switching to ink 1.00 + neon 0.80")
        await driver.confirm()
        await driver.begin()
        assert driver.screen[0].rstrip().endswith("● ink 1.00 + neon 0.80"), "in one switch"


async def test_a_model_that_is_refused_leaves_the_one_that_is_loaded(start, session, shelf):
    async with start() as driver:
        await driver.load()
        await open_list(driver)
        await driver.press(*"alph", "enter")
        await driver.highlight("ink")
        await driver.press("enter")
        await driver.emit(CommandFailed("load", "alpha.safetensors: truncated."))
        assert "sd_xl_base_1.0" in driver.screen[0]
        assert driver.log[-1] == (
            "sd_xl_base_1.0 stays loaded; L loads alpha again, m chooses another model"
        )
        await driver.confirm()
        assert driver.screen[0].rstrip().endswith("● ink 1.00")
        await driver.press("v")
        await driver.begin()
        assert "▸ verifying" in driver.screen[0]


async def test_a_cancelled_load_can_be_asked_for_again(start, session):
    async with start() as driver:
        await driver.emit(LoadProgress("Reading x", 1, 10))
        await driver.press("L")
        assert driver.toasts == ["The model is still loading."]
        await driver.press("x")
        await driver.emit(CommandFailed("load", "The loading was cancelled.", cancelled=True))
        assert len(driver.toasts) == 1, "what was wished is no error"
        assert driver.log[-2:] == [
            "The loading was cancelled.", "L loads sd_xl_base_1.0 again, m chooses another model",
        ]  # fmt: skip
        assert "! no model · L loads again, m chooses" in driver.screen[0]
        assert (
            "L loads it again" in driver.app.main.picture.query_one("#picture-words").visual.plain
        )
        await driver.press("L")
        assert session.sent(Load) == [Load(MODEL.path)] * 2
        await driver.load()
        assert driver.screen[0].rstrip().endswith("● base")
        await driver.press("L")
        assert driver.toasts[-1] == "The model is loaded; m chooses another one."


async def test_the_newest_of_several_choices_counts(start, session, shelf):
    async with start() as driver:
        await driver.begin()
        await open_list(driver)
        await driver.press(*"alph", "enter")
        assert [load.model for load in session.sent(Load)] == [MODEL.path, A.path]
        assert session.view.stopping, "the first one"
        await driver.emit(CommandFailed("load", "The loading was cancelled.", cancelled=True))
        assert not any("loads" in line for line in driver.log), "alpha is on its way"
        await driver.load(structs.replace(MODEL, name="alpha", path=A.path))
        assert driver.app.control.view.model.name == "alpha"


async def test_a_model_that_was_loaded_is_remembered_and_the_demo_is_not(start, settings, tmp_path):
    path = tmp_path / "config" / "config.toml"
    async with start(settings=structs.replace(settings, config_path=path)) as driver:
        await driver.load(structs.replace(MODEL, is_demo=True))
        await driver.load()
        await driver.until(path.exists)
    assert tomllib.loads(path.read_text()) == {"model": str(MODEL.path)}


async def test_a_model_that_cannot_be_remembered_is_said(start, settings, tmp_path):
    (tmp_path / "file").write_text("")
    async with start(
        settings=structs.replace(settings, config_path=tmp_path / "file/config")
    ) as driver:
        await driver.load()
        await driver.until(lambda: any("cannot be remembered" in line for line in driver.log))


async def test_the_empty_prompt_says_what_the_demo_knows(start):
    async with start() as driver:
        field = driver.app.main.query_one("#prompt-text", PromptField)
        await driver.load(structs.replace(MODEL, is_demo=True))
        assert "fish" in str(field.placeholder)
        await driver.load()
        assert "fish" not in str(field.placeholder)
