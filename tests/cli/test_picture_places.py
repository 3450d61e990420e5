"""How pictures are written and named, and which folders the gallery shows: options and config."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_loraswitch.cli import _parser, main
from tui_loraswitch.commands.options import settings_from
from tui_loraswitch.config.settings import AppSettings


def settings(*words: str) -> AppSettings:
    return settings_from(_parser(["generate"]).parse_args(["generate", "a fox", *words]))


def test_the_config_file_says_it_and_options_go_first(config: Path, home: Path) -> None:
    config.write_text(
        'pictures = ["~/outputs", "/mnt/a1111"]\npicture_format = "webp"\n'
        'picture_names = "[date]/[seed]"\n'
    )
    found = settings()
    assert found.pictures == (home / "outputs", Path("/mnt/a1111"))
    assert (found.picture_format, found.picture_names) == ("webp", "[date]/[seed]")
    found = settings("--picture-format", "png", "--picture-names", "[number]")
    assert (found.picture_format, found.picture_names) == ("png", "[number]")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--picture-names", "../[seed]"), "lead out of the output folder"),
        (("--picture-names", "[colour]"), "no field [colour]"),
        (("--picture-format", "tiff"), "invalid choice"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, str], said: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["generate", "a fox", *words])
    assert said in capsys.readouterr().err


def test_a_wrong_pattern_in_the_config_file_is_refused(config: Path, capsys) -> None:
    config.write_text('picture_names = "~/x"\n')
    assert main(["generate", "a fox", "--demo"]) == 2
    assert "lead out of the output folder" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--from", "x.png", "-"), ("--skip-missing", "a fox"), ()])
def test_from_goes_with_one_picture(words: tuple[str, ...], capsys) -> None:
    assert main(["generate", "--demo", *words]) == 2
    assert capsys.readouterr().err


def test_a_picture_that_is_none_is_said(tmp_path: Path, capsys) -> None:
    (tmp_path / "x.png").write_text("nothing")
    assert main(["generate", "--demo", "--from", str(tmp_path / "x.png")]) == 2
    assert "x.png: this is no PNG, JPEG or WebP picture" in capsys.readouterr().err
    assert main(["generate", "--demo", "--from", str(tmp_path / "none.png")]) == 2
    assert "there is no such file" in capsys.readouterr().err
