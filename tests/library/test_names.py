"""The names people write, and the one file each of them means."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.generate.infotext import ModelUsed, describe_picture
from engine.library.entry import LibraryEntry
from engine.library.names import LibraryNames, find_output_name, names_for_tags
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.words.lora_tags import split_tags

ROOT, OTHER = Path("/data/loras"), Path("/mnt/more")


@dataclass(frozen=True)
class Named:
    path: Path
    root: Path = ROOT


def library(*names: str, other: tuple[str, ...] = ()) -> LibraryNames[Named]:
    """Files below one library folder, and below another one."""
    files = [Named(ROOT / f"{name}.safetensors") for name in names]
    return LibraryNames.of([*files, *(Named(OTHER / f"{n}.safetensors", OTHER) for n in other)])


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def found(names: LibraryNames[Named], name: str) -> str | None:
    """The file that a name means, below its folder and without the ending."""
    file = names.find(name)
    return None if file is None else str(file.path.relative_to(file.root))[: -len(".safetensors")]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("styles/neon", "neon"),
        ("styles/neon", "styles/neon"),
        ("styles/neon", "neon.safetensors"),
        ("styles/neon", "Styles/NEON.SafeTensors"),
        ("styles/neon", "loras/styles/neon"),
        ("styles/neon", "/data/loras/styles/neon.safetensors"),
        ("styles/neon", "styles\\neon"),
        ("a/b/c", "A\\B\\C.safetensors"),
        ("a\\b", "a\\b"),
        ("neon.v1.5", "neon.v1.5"),
        ("neon.v1.5", "neon.v1.5.safetensors"),
        ("neon.safetensors", "neon.safetensors"),
        ("neon.safetensors", "neon.safetensors.safetensors"),
        ("neon (v2) [final], 50%", "neon (v2) [final], 50%"),
        ("12:30 h", "12:30 h"),
        ("12:30 h", "1230 h"),
        ("a<b>c", "abc"),
        ("two  blanks", "two blanks"),
        ("tab\there", "tab here"),
        (nfd("café_élan"), nfc("café_élan")),
        (nfc("café_élan"), nfd("café_élan")),
        (nfd("café/Größe"), nfc("CAFÉ/grÖße")),
        (nfd("ガンダム"), nfc("ガンダム")),
        (nfd("각본"), nfc("각본")),
        ("\u212bngstr\u00f6m", "\u00c5ngstro\u0308m"),
    ],
)
def test_a_name_is_found(file: str, name: str) -> None:
    assert found(library(file, "something else"), name) == file


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("ﬁlm", "film"),
        ("film", "ﬁlm"),
        ("style²", "style2"),
        ("ｎｅｏｎ", "neon"),
        ("ⅳ", "iv"),
        ("ſtar", "star"),
        ("straße", "strasse"),
        ("µ", "μ"),
        ("café", "cafe"),
        ("neon", "neo"),
        ("neon", "on"),
        ("styles/neon", "tyles/neon"),
        ("styles/neon", "people/neon"),
        ("neon", ""),
        ("neon", ".safetensors"),
        ("neon", "/"),
        ("neon", "neon.ckpt"),
    ],
)
def test_what_only_looks_alike_is_another_name(file: str, name: str) -> None:
    assert found(library(file), name) is None


def test_the_stricter_way_goes_first() -> None:
    names = library("aya", "Aya", "styles/AYA", "char\\sample", "char/sample")
    assert found(names, "aya") == "aya"
    assert found(names, "Aya") == "Aya"
    assert found(names, "AYA") == "styles/AYA"
    assert found(names, "char\\sample") == "char\\sample"
    assert found(library("ink", "styles/ink"), "ink") == "ink", "a path goes before a bare name"


@pytest.mark.parametrize(
    ("files", "name", "listed"),
    [
        (("styles/ink", "people/ink"), "ink", ("styles/ink", "people/ink")),
        (("styles/ink", "people/ink"), "ink.safetensors", ("styles/ink", "people/ink")),
        (("a/Ink", "b/iNk"), "INK", ("a/Ink", "b/iNk")),
        ((nfc("a/café"), nfd("b/café")), nfc("café"), (nfc("a/café"), nfd("b/café"))),
        ((nfc("a/é"), nfd("a/é")), "É", (nfc("a/é") + " (NFC)", nfd("a/é") + " (NFD)")),
        (("a:b/x", "ab/x"), "AB\\X", ()),
    ],
)
def test_several_files_of_a_name_are_a_refusal_that_lists_them(files, name, listed) -> None:
    names = library(*files)
    if not listed:
        assert found(names, name) == "ab/x", "one is meant more strictly than the other"
        return
    with pytest.raises(EngineError) as refusal:
        names.find(name)
    for key in listed:
        assert key in str(refusal.value)
    for file in files:
        assert found(names, file) == file, "by its whole name each is found"


def test_a_file_of_either_library_folder_is_found_by_its_own() -> None:
    names = library("styles/neon", "own", other=("styles/neon", "people/aya"))
    assert names.find("people/aya") == Named(OTHER / "people/aya.safetensors", OTHER)
    assert names.find("own") == Named(ROOT / "own.safetensors")
    assert names.find("more/styles/neon") == Named(OTHER / "styles/neon.safetensors", OTHER)
    assert names.find("loras\\styles\\neon") == Named(ROOT / "styles/neon.safetensors")
    with pytest.raises(EngineError) as refusal:
        names.find("styles/neon")
    assert str(OTHER / "styles/neon.safetensors") in str(refusal.value)
    assert str(ROOT / "styles/neon.safetensors") in str(refusal.value)


def test_of_many_files_some_are_listed() -> None:
    with pytest.raises(EngineError, match="and 90 more"):
        library(*(f"epoch{n}/neon" for n in range(100))).find("neon")


def called(path: str, output_name: str) -> LibraryEntry:
    metadata = (("ss_output_name", output_name),) if output_name else ()
    return LibraryEntry(ROOT / path, ROOT, 1, 1, 1, metadata=metadata)


def test_the_name_its_trainer_gave_a_file_counts_where_one_file_has_it() -> None:
    entries = [called("a.safetensors", nfd("Élan_v1")), called("b.safetensors", "")]
    assert find_output_name(nfc("élan_V1.safetensors"), entries) is entries[0]
    for name in ("elan_v1", "", ".safetensors", "a"):
        assert find_output_name(name, entries) is None
    entries.append(called("copy/a.safetensors", nfc("Élan_v1")))
    with pytest.raises(EngineError, match="copy/a"):
        find_output_name(nfc("Élan_v1"), entries)


characters = st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cc", "Cs"])
file_names = st.text(characters, min_size=1, max_size=12).filter(lambda n: n not in (".", ".."))
paths = st.lists(file_names, min_size=1, max_size=3).map("/".join)


@given(st.lists(paths, min_size=1, max_size=6, unique=True))
def test_every_file_is_found_by_its_path(keys: list[str]) -> None:
    names = library(*keys)
    for key in keys:
        assert found(names, f"{key}.safetensors") == key


@given(st.lists(paths, min_size=1, max_size=6, unique=True), st.data())
def test_the_tags_of_a_picture_find_its_files_again(keys: list[str], data) -> None:
    """Where a tag can say it at all: names without what ends a tag."""
    names = library(*keys)
    key = data.draw(st.sampled_from(keys))
    ref = LoraRef(ROOT / f"{key}.safetensors", 0.5, 0.5)
    request = GenerateRequest("a fox", Path(), lora_names=names_for_tags([ref], names))
    info = describe_picture(request, 1, model=ModelUsed("m"), stack=[ref])
    _, (tag,) = split_tags(info.prompt)
    try:
        file = names.find(tag.name)
    except EngineError:
        return  # it is said that the name has no single meaning
    assert file is None or file.path == ref.path, "never another file"


def test_a_picture_names_a_file_by_its_folder_where_the_bare_name_is_not_enough() -> None:
    names = library("styles/ink", "people/ink", "styles/neon", other=("styles/ink",))
    stack = [LoraRef(ROOT / f"{key}.safetensors") for key in ("people/ink", "styles/neon")]
    stack.append(LoraRef(OTHER / "styles/ink.safetensors"))
    stack.append(LoraRef("/tmp/downloads/neon.safetensors"))
    written = dict(names_for_tags(stack, names))
    assert written == {
        "/data/loras/people/ink.safetensors": "people/ink",
        "/mnt/more/styles/ink.safetensors": "more/styles/ink",
        "/tmp/downloads/neon.safetensors": "downloads/neon",
    }
    request = GenerateRequest("a fox", Path(), lora_names=tuple(written.items()))
    prompt = describe_picture(request, 1, model=ModelUsed("m"), stack=stack).prompt
    assert "<lora:people/ink:1>" in prompt
    assert "<lora:neon:1>" in prompt
    assert "<lora:more/styles/ink:1>" in prompt
