"""`loraswitch` without a subcommand: what is remembered, and how the program ends."""

from __future__ import annotations

import gc
import signal
import sys
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.terminal import loraswitch_in_terminal
from tui_loraswitch.app.pastes import GOES_ON_SECONDS
from tui_loraswitch.cli import main
from tui_loraswitch.commands import app as command
from tui_loraswitch.commands.attach import connected
from tui_loraswitch.commands.places import index_path, store_path


class FakeApp:
    """Records that it ran."""

    return_code: int | None = 0

    def __init__(self, stops: bool) -> None:
        self.engine_stopped = stops
        self.runs = 0
        self.signal: int | None = None
        self.fault: Exception | None = None

    def run(self) -> None:
        assert gc.isenabled(), "garbage is looked for while it runs"
        self.runs += 1

    def stop_engine(self, timeout: float) -> bool:
        assert timeout < 0.5, "the app has waited already"
        return self.engine_stopped


@pytest.fixture
def fake_app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a fake in the app's place, on what looks like a terminal; `seen` holds the settings."""

    def use(stops: bool = True) -> SimpleNamespace:
        record = SimpleNamespace(app=FakeApp(stops), settings=None, ended=None, interval=None)

        def build(settings: Any, images: Any) -> FakeApp:
            assert not gc.isenabled(), "a look for garbage would hold the first frame"
            record.settings = settings
            return record.app

        monkeypatch.setattr(command, "build_app", build)
        monkeypatch.setattr(command, "end_process", lambda code: setattr(record, "ended", code))
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True)
        monkeypatch.setattr(
            "tui_loraswitch.images.terminal.detect_image_protocol", lambda setting: None
        )
        monkeypatch.setattr(
            sys, "setswitchinterval", lambda value: setattr(record, "interval", value)
        )
        return record

    return use


def test_the_choice_is_remembered_for_the_next_time(
    fake_app, tiny_checkpoint, loras, config
) -> None:
    record = fake_app()
    assert main(["--model", str(tiny_checkpoint), "--loras", str(loras), "--device", "cpu"]) == 0
    assert record.app.runs == 1
    assert tomllib.loads(config.read_text()) == {
        "model": str(tiny_checkpoint),
        "loras": [str(loras)],
        "device": "cpu",
    }
    assert main([]) == 0
    assert (record.settings.model, record.settings.loras) == (tiny_checkpoint, (loras,))
    assert record.settings.device == "cpu"


def test_what_a_model_predicts_is_remembered_beside_the_others(
    fake_app, tiny_checkpoint, config
) -> None:
    record = fake_app()
    config.write_text('[predictions]\n"/other" = "v"\n')
    assert main(["--model", str(tiny_checkpoint), "--prediction", "v-zsnr"]) == 0
    remembered = {"/other": "v", str(tiny_checkpoint): "v-zsnr"}
    assert tomllib.loads(config.read_text())["predictions"] == remembered
    assert main([]) == 0
    assert record.settings.predictions[tiny_checkpoint] == "v-zsnr"
    assert main(["--prediction", "auto"]) == 0
    assert tomllib.loads(config.read_text())["predictions"] == {"/other": "v"}
    assert main(["--demo", "--prediction", "v"]) == 0
    assert tomllib.loads(config.read_text())["predictions"] == {"/other": "v"}


def test_the_demo_changes_nothing(fake_app, config) -> None:
    record = fake_app()
    config.write_text('model = "/m"\n')
    assert main(["--demo", "--device", "cpu"]) == 0
    assert record.settings.model is None
    assert config.read_text() == 'model = "/m"\n'


def test_a_wrong_model_is_not_remembered(fake_app, config, capsys) -> None:
    record = fake_app()
    assert main(["--model", "typo.safetensors"]) == 2
    assert record.app.runs == 0
    assert not config.exists()
    assert "typo.safetensors" in capsys.readouterr().err


def test_a_remembered_model_that_is_gone_is_left_to_the_app(fake_app, config) -> None:
    record = fake_app()
    config.write_text('model = "/unplugged/m.safetensors"\n')
    assert main([]) == 0
    assert record.settings.model == Path("/unplugged/m.safetensors")


def test_a_config_that_cannot_be_written_is_said_and_no_reason_not_to_start(
    fake_app, config, capsys
) -> None:
    record = fake_app()
    config.parent.rmdir()
    config.parent.symlink_to("/proc/no-folder-here")
    assert main(["--device", "cpu"]) == 0
    assert record.app.runs == 1
    assert "cannot be remembered" in capsys.readouterr().err


def test_an_engine_that_does_not_end_is_left_behind(fake_app) -> None:
    record = fake_app(stops=False)
    main(["--demo"])
    assert record.ended == 0
    record = fake_app(stops=True)
    main(["--demo"])
    assert record.ended is None


def test_beside_an_engine_of_its_own_the_screen_gets_its_turn(fake_app) -> None:
    record = fake_app()
    main(["--demo"])
    assert record.interval is None, "the host imports torch"
    main(["--demo", "--own-engine"])
    assert record.interval < 0.001, "else importing torch stalls the screen"


def test_an_engine_of_its_own_keeps_hashes_in_the_librarys_index(monkeypatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("engine.session.Session", lambda **options: asked.append(options))
    connected(None, lambda reason: None)
    assert asked == [{"index": index_path(), "store": store_path()}]


def test_without_a_terminal_it_says_what_works(capsys) -> None:
    assert main(["--demo"]) == 2
    assert "needs a terminal" in capsys.readouterr().err


def test_quitting_while_torch_is_imported_ends_the_program(tiny_checkpoint, loras) -> None:
    words = ("--model", str(tiny_checkpoint), "--loras", str(loras), "--images", "halfcell")
    with loraswitch_in_terminal(*words) as terminal:
        terminal.read_until(lambda: b"neon" in terminal.screen)
        terminal.type(b"q")
        assert terminal.wait() == 0
    assert b"\x1b[?1049l" in terminal.screen, "the terminal is left as it was"
    assert b"Traceback" not in terminal.screen


def test_ctrl_c_while_torch_is_imported_ends_the_program(tiny_checkpoint) -> None:
    with loraswitch_in_terminal("generate", "fox", "--model", str(tiny_checkpoint)) as terminal:
        terminal.read_until(lambda: b"Starting PyTorch" in terminal.screen)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 130
    assert terminal.screen.endswith(b"loraswitch: Cancelled.\r\n")
    assert b"Traceback" not in terminal.screen


SIGNALS = pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])


@SIGNALS
def test_the_app_ends_with_128_and_the_number_of_the_signal(number, loras) -> None:
    """While torch is imported, too, which cannot be interrupted."""
    with loraswitch_in_terminal("--demo", "--images", "off") as terminal:
        terminal.read_until(lambda: b"neon" in terminal.screen)
        terminal.process.send_signal(number)
        terminal.process.send_signal(number)
        assert terminal.wait() == 128 + number
    assert b"\x1b[?1049l" in terminal.screen, "the terminal is left as it was"
    assert b"Traceback" not in terminal.screen


@pytest.mark.parametrize(
    ("number", "words", "moment"),
    [
        (signal.SIGHUP, ("verify",), b"Reading headers"),
        (signal.SIGTERM, ("generate", "a fox"), b"Starting PyTorch"),
        (signal.SIGTERM, ("verify", "--switches", "100000"), b"switch 1/"),
        (signal.SIGINT, ("verify",), b"Reading headers"),
    ],
)
def test_a_command_ends_with_128_and_the_number_of_the_signal(number, words, moment) -> None:
    with loraswitch_in_terminal(*words, "--demo") as terminal:
        terminal.read_until(lambda: moment in terminal.screen)
        terminal.process.send_signal(number)
        assert terminal.wait() == 128 + number
    assert b"Traceback" not in terminal.screen


def test_pasted_lines_are_not_run_as_keys_by_a_terminal_without_brackets(
    tiny_checkpoint, loras
) -> None:
    words = ("--model", str(tiny_checkpoint), "--loras", str(loras), "--images", "off")
    with loraswitch_in_terminal(*words) as terminal:
        terminal.read_until(lambda: b"neon" in terminal.screen)
        terminal.type(b"a fox\rq0x\rqqq\r")
        terminal.read_until(lambda: b"not run as keys" in terminal.screen)
        # What follows sooner belongs to the paste.
        end = time.monotonic() + 2 * GOES_ON_SECONDS
        terminal.read_until(lambda: time.monotonic() > end)
        terminal.type(b"q")
        assert terminal.wait() == 0
