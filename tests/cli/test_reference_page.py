"""The reference says what the code says."""

from __future__ import annotations

import subprocess

import pytest

from tools import man_page
from tools.reference_page import PAGE, bindings, page
from tui_loraswitch.cli import COMMANDS, main
from tui_loraswitch.config.config import Config


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tools.reference_page"


def test_all_keys_options_and_commands_are_on_it() -> None:
    text = page()
    for name in bindings():
        assert f"| `{name}` |" in text
    for name in Config.__struct_fields__:
        assert f"| `{name}` |" in text
    for name in COMMANDS:
        assert f"### `loraswitch {name}`" in text


def test_the_manual_page_is_what_the_code_says() -> None:
    assert man_page.PAGE.read_text(encoding="utf-8") == man_page.page(), (
        "run python -m tools.man_page"
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_completes_commands_and_options(shell: str, capsys) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("generate", "doctor", "--model", "--lora"):
        # tcsh has the dashes apart from the names.
        assert (word.lstrip("-") if shell == "tcsh" else word) in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
