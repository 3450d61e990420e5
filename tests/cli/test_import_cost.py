"""What must be quick imports nothing heavy, and a pipe or a terminal gets clean output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TORCH = "{'torch', 'diffusers', 'transformers', 'accelerate'}"
SCREEN = "{'textual', 'rich', 'PIL', 'numpy'}"


def run(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "words", ["--help", "generate --help", "inspect --help", "--version", "list", "list --json"]
)
def test_help_and_list_import_neither_torch_nor_a_screen(words: str, loras: Path) -> None:
    code = f"""
import sys
from tui_loraswitch.cli import main
try:
    main(sys.argv[1:])
except SystemExit as leaving:
    assert leaving.code == 0
heavy = ({TORCH} | {SCREEN}) & set(sys.modules)
assert not heavy, heavy
"""
    done = run(code, *words.split(), *(("--loras", str(loras)) if "list" in words else ()))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_inspect_shows_the_header_before_torch_is_imported(loras: Path) -> None:
    code = f"""
import sys, types
from tui_loraswitch.cli import main
from engine.errors import EngineError
def examine(*_):
    heavy = ({TORCH} | {SCREEN}) & set(sys.modules)
    raise EngineError(f"imported: {{heavy}}")
sys.modules["engine.generate.quiet"] = types.SimpleNamespace(quiet_libraries=lambda: None)
sys.modules["engine.switch"] = types.ModuleType("engine.switch")
sys.modules["engine.switch.examine"] = types.SimpleNamespace(examine=examine)
main(sys.argv[1:])
"""
    done = run(code, "inspect", str(loras / "styles/neon.safetensors"))
    assert done.stderr == "loraswitch: imported: set()\n"
    assert "SDXL (attn2 width 2048)" in done.stdout


def test_the_app_is_made_without_torch_and_set_up_for_a_slow_link() -> None:
    code = f"""
import sys
from tui_loraswitch.cli import _parser
from tui_loraswitch.commands.app import build_app
from tui_loraswitch.commands.options import settings_from
app = build_app(settings_from(_parser().parse_args([])))
heavy = {TORCH} & set(sys.modules)
assert not heavy, heavy
from textual import constants
assert (constants.MAX_FPS, constants.SMOOTH_SCROLL) == (30, False)
"""
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_frame_waits_for_nothing_that_only_threads_and_dialogs_need() -> None:
    later = {
        "sqlite3", "PIL", "engine.library.scan", "engine.lora.identify",
        "tui_loraswitch.screens.help", "tui_loraswitch.commands.generate", "importlib.metadata",
    }  # fmt: skip
    code = f"""
import sys
from tui_loraswitch.cli import _parser
from tui_loraswitch.commands.app import build_app
from tui_loraswitch.commands.options import settings_from
app = build_app(settings_from(_parser().parse_args(["--demo"])))
early = {later} & set(sys.modules)
assert not early, early
"""
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_textual_settings_of_the_user_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_FPS", "42")
    code = """
from tui_loraswitch.cli import _parser
from tui_loraswitch.commands.app import build_app
from tui_loraswitch.commands.options import settings_from
build_app(settings_from(_parser().parse_args([])))
from textual import constants
assert constants.MAX_FPS == 42, constants.MAX_FPS
"""
    assert run(code).returncode == 0


def test_a_reader_that_goes_away_is_no_error(loras: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tui_loraswitch", "list", "--loras", str(loras)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(60) == 141
    process.stderr.close()


def test_generate_in_a_pipe_prints_the_path_and_nothing_else(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "pictures"
    command = f"generate fox --model {tiny_checkpoint} --output {output} --steps 1 --seed 3"
    code = "import sys; from tui_loraswitch.cli import main; sys.exit(main(sys.argv[1:]))"
    done = run(code, *command.split(), "--sampler", "Euler")
    assert done.returncode == 0
    assert done.stdout == f"{output / '00001-3.png'}\n"
    assert done.stderr == ""
