"""What the engine reports becomes what the screen shows."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from engine.protocol.commands import SetStack
from engine.protocol.events import (
    BackupMoved,
    CommandFailed,
    EventMessage,
    GenerationCancelled,
    GenerationFinished,
    GenerationStarted,
    GenerationStep,
    LoadProgress,
    PictureSaved,
    Preview,
    StateChanged,
    Verified,
)
from engine.protocol.refs import LoraRef
from engine.protocol.reports import VerifyReport
from engine.protocol.request import GenerateRequest
from engine.protocol.view import EngineView, Refusal
from tests.tui.conftest import MODEL
from tui_loraswitch.app import engine_link
from tui_loraswitch.images.halfcell import HalfCellPicture
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.panes import picture as picture_pane
from tui_loraswitch.panes.messages import EngineAnswered, EngineAttached, EngineLost, ViewChanged

REQUEST = GenerateRequest("a fox", Path("pictures"))


def preview(red: int) -> Preview:
    return Preview(8, 8, bytes((red, 0, 0)) * 64)


async def saved(driver, folder: Path, name: str, colour: tuple[int, int, int]) -> PictureSaved:
    path = folder / f"{name}.png"
    Image.new("RGB", (64, 64), colour).save(path)
    return PictureSaved(path, 7, 64, 64, 28, "infotext", 1.0)


async def test_loading_shows_how_far_it_is(start):
    async with start() as driver:
        await driver.emit(LoadProgress("reading sd_xl", 3_000_000_000, 6_000_000_000))
        assert "◌ reading sd_xl 50 %" in driver.screen[0]
        assert "2.8 of 5.6 GiB" in driver.text
        await driver.load()
        assert "sd_xl_base_1.0 · float16 · cuda:0 RTX 4090" in driver.screen[0]
        assert driver.screen[0].rstrip().endswith("● base")
        assert "3.38 billion weights" in driver.log[0]


async def test_a_switch_is_pending_then_live_and_the_log_tells(start):
    async with start() as driver:
        await driver.load()
        await driver.highlight("neon")
        await driver.press("enter")
        assert "◌ switching to neon 0.80" in driver.screen[0]
        assert "◌ neon" in driver.text
        await driver.confirm()
        assert driver.screen[0].rstrip().endswith("● neon 0.80")
        assert "● neon" in driver.text
        assert driver.log[-1] == "switched to neon 0.80 · 10 tensors · 6 ms (warm) · merge 6 ms"


async def test_a_refused_lora_is_marked_and_what_was_live_stays(start, session, loras):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await driver.highlight("neon")
        await driver.press("enter")
        await driver.emit(
            CommandFailed(
                "switch",
                "neon.safetensors: 3 shapes do not fit.",
                refused=True,
                path=loras / "styles/neon.safetensors",
            )
        )
        assert driver.toasts == ["neon.safetensors: 3 shapes do not fit."]
        assert "neon.safetensors: 3 shapes do not fit." in driver.log
        assert driver.screen[0].rstrip().endswith("● ink 1.00")
        # The log names the file too, where no notice lies over it.
        (row,) = [line for line in driver.screen if "! neon " in line]
        assert "refused" in row
        await driver.press("0")
        assert session.sent(SetStack)[-1] == SetStack()


async def test_a_lora_is_not_marked_for_the_fault_of_another(start, session, loras):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await driver.highlight("neon")
        await driver.press("space")
        ink = loras / "styles/ink.safetensors"
        await driver.emit(CommandFailed("switch", "ink is gone.", refused=True, path=ink))
        assert driver.app.control.view.refused == (Refusal(ink, "ink is gone."),)


async def test_recovering_is_said_in_words(start):
    async with start() as driver:
        await driver.load()
        await driver.emit(StateChanged("recovering"))
        assert "! recovering the base" in driver.screen[0]
        await driver.emit(StateChanged("base"))
        assert driver.screen[0].rstrip().endswith("● base")


async def test_drawing_shows_preview_progress_and_then_the_picture(start, tmp_path):
    async with start() as driver:
        await driver.load()
        shown = driver.app.main.picture.query_one(HalfCellPicture)
        await driver.emit(GenerationStarted(REQUEST, 7, 28), GenerationStep(7, 28, 1.0, preview(9)))
        await driver.until(lambda: shown.size.area > 0)
        assert "7/28 · 1.0 s · 3.0 s left" in driver.text
        done = await saved(driver, tmp_path, "00042", (10, 200, 30))
        await driver.emit(done, GenerationFinished((done,), 3.1))
        await driver.until(lambda: _colour(shown) == (10, 200, 30))
        assert "Picture 00042" in driver.text
        assert "seed 7 · 64×64 · 1.0 s" in driver.text
        assert "7/28" not in driver.text
        assert driver.log[-1] == "picture 00042 · 3.1 s · saved"


async def test_a_running_picture_says_its_pass_and_its_stack_where_that_changes(
    start, loras, monkeypatch
):
    monkeypatch.setattr(engine_link, "STEP_SECONDS", 0)
    neon, ink = (LoraRef(loras / f"{name}.safetensors") for name in ("neon", "styles/ink"))
    async with start() as driver:
        await driver.load()
        await driver.emit(GenerationStarted(REQUEST, 7, 28), GenerationStep(7, 28, 1.0))
        assert "pass" not in driver.text
        await driver.emit(GenerationStep(9, 28, 1.0, None, ((ink.at(0.4),),), 2, 2))
        await driver.sees("9/28 · 1.0 s · 2.1 s left · pass 2 of 2 · ink 0.40")
        await driver.emit(GenerationStep(10, 28, 1.0, None, ((neon.at(1),), ())))
        await driver.sees(" left · 1: neon 1.00 · 2: base")


async def test_previews_do_not_follow_one_another_too_soon(start, monkeypatch):
    monkeypatch.setattr(picture_pane, "PREVIEW_SECONDS", 1e9)
    async with start() as driver:
        await driver.load()
        shown = driver.app.main.picture.query_one(HalfCellPicture)
        await driver.emit(GenerationStep(1, 28, 0.1, preview(100)))
        await driver.until(lambda: _colour(shown) == (100, 0, 0))
        await driver.emit(*(GenerationStep(n, 28, 0.1 * n, preview(100 + n)) for n in range(2, 9)))
        assert _colour(shown) == (100, 0, 0)


async def test_where_pictures_are_off_no_preview_takes_the_place_of_words(start):
    async with start(images=TerminalImages("off")) as driver:
        await driver.load()
        before = driver.app.main.picture.query_one("#picture-words").visual
        await driver.emit(GenerationStarted(REQUEST, 7, 28), GenerationStep(1, 28, 0.1, preview(9)))
        await driver.sees("1/28")
        assert driver.app.main.picture.query_one("#picture-words").visual is before
        assert "Preview" not in driver.text


async def test_earlier_pictures_can_be_looked_at_again(start, tmp_path):
    async with start() as driver:
        await driver.load()
        shown = driver.app.main.picture.query_one(HalfCellPicture)
        first = await saved(driver, tmp_path, "00001", (1, 2, 3))
        second = await saved(driver, tmp_path, "00002", (4, 5, 6))
        await driver.emit(first, second)
        await driver.until(lambda: _colour(shown) == (4, 5, 6))
        assert "2 of 2 · 1, then ← →" in driver.text
        await driver.press("1", "left")
        await driver.until(lambda: _colour(shown) == (1, 2, 3))
        assert "Picture 00001" in driver.text
        assert "1 of 2" in driver.text
        await driver.press("a")
        await driver.sees("a ends · Y keeps")
        await driver.press("a")
        await driver.sees("1 of 2")


async def test_a_picture_that_is_gone_is_said_so(start, tmp_path):
    async with start() as driver:
        await driver.load()
        await driver.emit(PictureSaved(tmp_path / "gone.png", 7, 64, 64, 28, ""))
        await driver.until(lambda: "the picture cannot be shown" in driver.text)


async def test_cancelling_is_reported(start):
    async with start() as driver:
        await driver.load()
        await driver.press("p", "x", "enter", "g")
        await driver.emit(GenerationStarted(REQUEST, 7, 28))
        assert "▸ drawing" in driver.screen[0]
        await driver.emit(GenerationCancelled(12, 28))
        assert "▸ drawing" not in driver.screen[0]
        assert driver.log[-1] == "cancelled at step 12 of 28"


async def test_verification_is_asked_for_and_answered(start):
    async with start() as driver:
        await driver.load()
        await driver.press("v")
        await driver.begin()
        assert "▸ verifying" in driver.screen[0]
        await driver.emit(Verified(VerifyReport(2516, (), 2_567_463_684), 0.4))
        assert "▸" not in driver.screen[0]
        assert "base verified: 0 of 2,567,463,684 weights differ" in driver.log[-1]
        await driver.emit(Verified(VerifyReport(2516, ("unet.a",), 9), 0.4))
        assert driver.log[-1] == "1 tensor differ from the base: unet.a"


async def test_the_backup_tells_where_it_went(start):
    async with start() as driver:
        await driver.load()
        await driver.press("b")
        await driver.begin()
        assert "▸ moving the backup" in driver.screen[0]
        await driver.emit(BackupMoved("cpu", 4 << 30, 0.5))
        assert "▸" not in driver.screen[0]
        assert driver.log[-1] == "backup 4.0 GiB in main memory now · 0.5 s"
        await driver.emit(BackupMoved("device", 4 << 30, 0.5, beside=1 << 30))
        assert (
            driver.log[-1] == "backup 4.0 GiB on the device now, 1.0 of it in main memory · 0.5 s"
        )
        await driver.emit(BackupMoved("file", 0, 0.002))
        assert driver.log[-1] == "backup 0 in the file now · 2 ms"


async def test_a_model_that_cannot_be_opened_leaves_the_app_alive(start, session):
    async with start() as driver:
        await driver.emit(CommandFailed("load", "x.safetensors: there is no such file."))
        assert "! no model" in driver.screen[0]
        assert driver.toasts == ["x.safetensors: there is no such file."]
        assert "! no model · L loads again, m chooses" in driver.screen[0]
        assert driver.log[-1] == "L loads sd_xl_base_1.0 again, m chooses another model"
        await driver.press("p", *"fox", "enter", "g")
        assert driver.toasts[-1] == "No model is loaded, so there is nothing to draw with."
        assert session.view.jobs == ()
        await driver.press("slash", *"ink", "enter")
        await driver.until(lambda: driver.app.main.library.view.shown == 1)


def test_of_a_backlog_of_views_the_newest_is_left():
    view = ViewChanged(EngineView(seq=2))
    assert view.can_replace(ViewChanged(EngineView(seq=1)))
    failed = EngineAnswered(EventMessage(1, "", "a", 0.0, CommandFailed("load", "x")))
    assert not failed.can_replace(failed)
    assert not view.can_replace(failed)


def _colour(picture: HalfCellPicture) -> tuple[int, ...]:
    """The colour of the picture's middle."""
    strip = picture.render_line(picture.size.height // 2)
    style = next((segment.style for segment in strip if "▀" in segment.text), None)
    return tuple(style.color.triplet) if style and style.color and style.color.triplet else ()


async def test_a_view_that_was_overtaken_is_not_shown_but_a_new_engines_is(start, session):
    async with start() as driver:
        await driver.load()
        before = driver.app.control.view
        driver.app.post_message(ViewChanged(EngineView(seq=1)))
        await driver.pilot.pause()
        assert driver.app.control.view is before
        driver.app.post_message(EngineAttached(EngineView(seq=1, model=MODEL)))
        await driver.until(lambda: driver.app.control.view.seq == 1)


async def test_a_model_that_is_about_to_be_loaded_is_not_missing(start):
    async with start(80, 24) as driver:
        assert "◌ starting" in driver.screen[0]
        await driver.begin()
        assert "no model" not in driver.screen[0]


async def test_that_the_engine_is_gone_is_said_also_where_no_log_is_seen(start):
    async with start(80, 24) as driver:
        await driver.load()
        driver.app.post_message(EngineLost("the host has ended", starts_again=True))
        words = (
            "The engine is gone (the host has ended). It is started again, with stack and queue."
        )
        await driver.until(lambda: driver.toasts == [words])
