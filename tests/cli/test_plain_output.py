"""Nothing of a stranger's text acts on the terminal, by an error, the log or a fault of ours."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.words.clean import escaped_line
from tests.cli.terminal import ROOT
from tui_loraswitch.cli import main
from tui_loraswitch.commands import listing
from tui_loraswitch.commands.log_file import log_to_file

HOSTILE = {
    "clipboard": "\x1b]52;c;AAAA\x07",
    "title": "\x1b]0;owned\x1b\\",
    "device control": "\x1bP+q544e\x1b\\",
    "colours": "\x1b[31;5m",
    "8-bit colours": "\x9b31m",
    "8-bit clipboard": "\x9d52;c;AAAA\x9c",
    "8-bit device control": "\x90+q\x9c",
    "reset": "\x1bc",
    "no end": "\x1b]0;",
    "line": "one\rtwo\x08\x7f\x0b\x0c\x85three\nfour",
    "bidi": "\u202egnp.exe\u2066\u200f",
    "separators": "\u2028\u2029",
    "half a character": "\udc9b31m\udcff",
    "tags": "\U000e0041\ufeff\u00ad",
}
TEXTS = pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)


def acting(text: str, allowed: str = "\n") -> list[str]:
    """The characters of a text that a terminal would not simply show."""
    return [char for char in text if not char.isprintable() and char not in allowed]


@TEXTS
@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "a", "X"),
        ("inspect", "X"),
        ("--X",),
        ("list", "--X=1"),
        ("X",),
        ("--model", "X"),
        ("--model=X", "list"),
        ("--images", "X"),
        ("generate", "fox", "--device", "X"),
        ("generate", "fox", "--sampler", "X"),
        ("generate", "fox", "--seed", "X"),
        ("generate", "fox", "--lora", "X", "--demo"),
        ("generate", "fox", "--lora", "a:X", "--demo"),
        ("generate", "fox <lora:X:1>", "--demo"),
        ("generate", "fox <lora:a:X>", "--demo"),
        ("generate", "(fox", "--width", "7", "--negative", "X", "--demo"),
        ("bench", "--rank", "X"),
        ("bench", "--lora", "X"),
        ("verify", "--loras", "X"),
    ],
    ids=" ".join,
)
def test_words_given_are_quoted_without_what_acts(
    hostile: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main([word.replace("X", f"a{hostile}b") for word in words])
    except SystemExit as leaving:
        code = leaving.code
    output = capsys.readouterr()
    assert code == 2 or (words == ("inspect", "X") and code == 1)
    assert acting(output.out + output.err) == []
    assert "loraswitch" in output.err


def test_a_name_without_an_end_hides_nothing_of_the_sentence(capsys) -> None:
    assert main(["inspect", "a\x1b]0;b"]) == 1
    assert capsys.readouterr().err.endswith("b: there is no such file.\n")


@TEXTS
def test_the_environment_is_quoted_without_what_acts(
    hostile: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    for name in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / f"a{hostile}b"))
    with pytest.raises(SystemExit):
        main(["--help"])
    (tmp_path / f"a{hostile}b").write_text("a file where a folder should be")
    main(["list", "--demo"])
    output = capsys.readouterr()
    assert acting(output.out + output.err, "\n\t") == []


@TEXTS
def test_the_config_file_is_quoted_without_what_acts(hostile: str, config: Path, capsys) -> None:
    text = "".join(f"\\U{ord(char):08x}" for char in hostile if not "\ud800" <= char <= "\udfff")
    for line in (f'device = "{text}"', f'loras = ["{text}"]', f'"{text}" = [', f'mode = "{text}"'):
        config.write_text(line + "\n")
        main(["list"])
    output = capsys.readouterr()
    assert "config.toml" in output.err
    assert acting(output.out + output.err, "\n\t") == []


@TEXTS
def test_the_log_holds_nothing_that_acts(hostile: str, tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    with log_to_file(path):
        log = logging.getLogger(f"engine.{hostile}")
        log.warning("not read: %s", f"a{hostile}b")
        log.error(f"a{hostile}b", stack_info=True)
        warnings.warn(f"a{hostile}b", stacklevel=1)
        try:
            try:
                raise ValueError(f"a{hostile}b")
            except ValueError as error:
                error.add_note(f"note{hostile}b")
                raise KeyError(f"a{hostile}b") from error
        except KeyError:
            log.exception("failed")
        thread = threading.Thread(target=fail, args=(hostile,), name=f"a{hostile}b")
        thread.start()
        thread.join()
    lines = path.read_text(encoding="utf-8").split("\n")
    assert not acting("".join(lines))
    records = [line for line in lines if line and not line.startswith("    ")]
    assert len(records) == 5
    assert all(str(os.getpid()) in record for record in records), "no line passes for a record"
    assert sum(escaped_line(hostile) in line for line in lines) >= 6, "all is there to be read"


def fail(hostile: str) -> None:
    raise ValueError(f"thread {hostile}")


def test_other_formatters_leave_nothing_behind(tmp_path: Path, caplog) -> None:
    """A record that another handler has formatted holds its traceback as that one made it."""
    path = tmp_path / "own.log"
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "words", (), None)
    record.exc_text = "left\x1b]0;"
    with log_to_file(path):
        logging.getLogger().handle(record)
    assert "\x1b" not in path.read_text()


def test_a_traceback_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    with log_to_file(path):
        try:
            raise ValueError("line\n" * 100_000)
        except ValueError:
            logging.getLogger("x").exception("failed " + "long " * 100_000)
    text = path.read_text()
    assert text.count("\n") < 500
    assert len(text) < 50_000
    assert "Traceback" in text


@given(st.text(st.characters(exclude_categories=())))
def test_an_escaped_line_is_one_line_and_shows_all(text: str) -> None:
    line = escaped_line(text)
    assert len(line.splitlines()) <= 1
    assert set(acting(line)) <= set("\u200c\u200d") | {c for c in text if c.isspace()}
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in line)
    line.encode()
    assert len(line) >= len(text)


@TEXTS
def test_a_fault_of_ours_is_a_sentence_and_the_log_has_the_rest(
    hostile: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError(f"a{hostile}b")

    monkeypatch.setattr(listing, "scan_library", fault)
    assert main(["list"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("loraswitch: Unexpected fault: RuntimeError: a")
    assert output.err.count("\n") == 1
    assert acting(output.err) == []
    log = Path(os.environ["XDG_STATE_HOME"], "loraswitch", "loraswitch.log").read_text()
    assert "Traceback" in log
    assert acting(log) == []


def test_a_fault_of_the_app_leaves_a_sentence(tmp_path: Path) -> None:
    """Textual alone would print the traceback with all local variables, as they are."""
    code = r"""
import sys
from tests.cli.terminal import loraswitch_in_terminal
from tui_loraswitch.app.following import Following
def fault(*_, **__):
    hostile = "\x1b]52;c;AAAA\x07"
    raise RuntimeError("broken" + hostile)
Following.follow = fault
from tui_loraswitch.cli import main
sys.exit(main(["--demo", "--images", "off"]))
"""
    from tests.cli.terminal import program_in_terminal

    with program_in_terminal(sys.executable, "-c", code) as terminal:
        assert terminal.wait() == 1
    said = terminal.screen.split(b"\x1b[?1049l")[-1].decode()
    assert "loraswitch: Unexpected fault: RuntimeError: broken" in said
    assert "Traceback" not in said
    assert "\x1b]52" not in said
    log = Path(os.environ["XDG_STATE_HOME"], "loraswitch", "loraswitch.log").read_text()
    assert "Traceback" in log
    assert acting(log) == []


def test_bytes_of_a_command_line_that_are_no_text() -> None:
    """As the shell hands them over: C1 controls in Latin-1, and UTF-8 that is cut short."""
    for raw in (b"\x9b31m\xff", b"\x9d52;c;AAAA\x9c", b"\xe2\x80", b"\xc2\x9b31m"):
        done = subprocess.run(
            [sys.executable, "-m", "tui_loraswitch", "inspect", b"x", b"evil" + raw],
            cwd=ROOT,
            capture_output=True,
        )
        assert done.returncode == 2
        output = done.stdout + done.stderr
        assert acting(output.decode()) == []
