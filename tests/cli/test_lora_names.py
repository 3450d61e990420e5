"""Names people type, and the files they mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_loraswitch.commands.lora_names import Library, parse_wanted
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.commands.places import index_path
from tui_loraswitch.control.wanted_lora import WantedLora


def library(*folders: Path) -> Library:
    return Library(folders, index_path())


def find(name: str, *folders: Path) -> Path:
    (ref,) = library(*folders).resolve([WantedLora(name)])
    return Path(ref.path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("neon", WantedLora("neon")),
        ("neon:0.8", WantedLora("neon", 0.8, 0.8)),
        ("neon:0.8:0.5", WantedLora("neon", 0.8, 0.5)),
        ("neon:-1:.5", WantedLora("neon", -1.0, 0.5)),
        ("neon:0:0", WantedLora("neon", 0.0, 0.0)),
        ("a:b:2", WantedLora("a:b", 2.0, 2.0)),
        ("neon:nan", WantedLora("neon:nan")),
        ("styles/neon v2:1", WantedLora("styles/neon v2")),
        ("neon:lbw=MID", WantedLora("neon", fields=(("lbw", "MID"),))),
        ("neon:.5:te2=0:lbw=a,b", WantedLora("neon", 0.5, 0.5, (("te2", "0"), ("lbw", "a,b")))),
        ("neon:lbw=IN04=0.5,MID=0", WantedLora("neon", fields=(("lbw", "IN04=0.5,MID=0"),))),
        ("neon:other=1", WantedLora("neon:other=1")),
    ],
)
def test_a_name_with_strengths(text: str, wanted: WantedLora) -> None:
    assert parse_wanted(text) == wanted


@given(
    st.text(min_size=1).filter(lambda name: ":" not in name),
    st.floats(-5, 5).map(lambda x: round(x, 3)),
    st.floats(-5, 5).map(lambda x: round(x, 3)),
)
def test_whatever_the_name_the_strengths_come_from_the_end(name, unet, te) -> None:
    assert parse_wanted(f"{name}:{unet:f}:{te:f}") == WantedLora(name, unet, te)


def test_no_name_at_all() -> None:
    with pytest.raises(ValueError, match=r"^$"):
        parse_wanted("")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("neon", "styles/neon"),
        ("neon.safetensors", "styles/neon"),
        ("styles/neon", "styles/neon"),
        ("styles/ink", "styles/ink"),
        ("people/ink.safetensors", "people/ink"),
        ("aya", "Aya"),
        ("STYLES/Neon", "styles/neon"),
    ],
)
def test_names_in_the_library(loras: Path, name: str, file: str) -> None:
    assert find(name, loras) == loras / f"{file}.safetensors"


def test_the_exact_case_goes_first(loras: Path, write_lora) -> None:
    lower = write_lora(loras / "aya.safetensors")
    assert find("aya", loras) == lower
    assert find("Aya", loras) == loras / "Aya.safetensors"


def test_a_path_below_the_folder_goes_before_a_stem(loras: Path, write_lora) -> None:
    top = write_lora(loras / "ink.safetensors")
    assert find("ink", loras) == top


def test_an_ambiguous_name_lists_what_it_may_mean(loras: Path) -> None:
    with pytest.raises(UsageError) as raised:
        find("ink", loras)
    assert "styles/ink" in str(raised.value)
    assert "people/ink" in str(raised.value)


def test_two_folders_with_the_same_path_are_told_apart_by_whole_paths(
    loras: Path, home: Path, write_lora
) -> None:
    other = write_lora(home / "other/styles/neon.safetensors")
    with pytest.raises(UsageError) as raised:
        find("styles/neon", loras, home / "other")
    assert str(other) in str(raised.value)
    assert str(loras / "styles/neon.safetensors") in str(raised.value)


def test_a_folder_within_another_gives_no_file_twice(loras: Path) -> None:
    assert find("neon", loras, loras / "styles") == loras / "styles/neon.safetensors"


def test_a_path_on_disk(home: Path, write_lora) -> None:
    file = write_lora(home / "elsewhere/own.safetensors")
    assert find("elsewhere/own.safetensors") == file
    assert find("elsewhere/own") == file
    assert find(str(file)) == file
    assert find("~/elsewhere/own") == file


@pytest.mark.parametrize("name", ["/", "~", "..", "a" * 300, "a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_unknown(loras: Path, name: str) -> None:
    with pytest.raises(UsageError, match="There is no LoRA"):
        find(name, loras)


def test_an_unknown_name_gets_a_proposal(loras: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean neon"):
        find("noen", loras)


def test_a_missing_folder_is_named_where_nothing_was_found(home: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        find("neon", home / "unplugged")


def test_fields_become_the_strengths_of_a_member(loras: Path) -> None:
    presets = {"Face": "1,0,1,1,1,1,1,1,1,1,1,1"}
    wanted = map(parse_wanted, ("neon:0.8:te2=0.5:lbw=face", "aya:1:lbw=MID=0,OUT03=.5"))
    neon, aya = library(loras).resolve(wanted, presets)
    assert (neon.unet, neon.text_encoder, neon.text_encoder_2) == (0.8, 0.8, 0.5)
    assert neon.blocks == (("IN04", 0.0),)
    assert aya.text_encoder_2 is None
    assert aya.blocks == (("MID", 0.0), ("OUT03", 0.5))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([("lbw", "nose")], "no block weights named 'nose'"),
        ([("lbw", "1,2,3")], "12 or 20 numbers"),
        ([("te2", "much")], "“much” of the LoRA neon is not a number"),
        ([("te2", "nan")], "is not a number"),
        ([("start", "10")], "“start=” of the LoRA neon is not known"),
    ],
)
def test_fields_that_cannot_be_read_are_wrong_usage(loras: Path, fields, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        library(loras).resolve([WantedLora("neon", fields=tuple(fields))])
