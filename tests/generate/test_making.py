"""What made a picture comes back exactly from its file, whatever the format."""

from __future__ import annotations

import dataclasses
import io
import os
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.files.picture_texts import MAKING, MOST_TEXT, read_picture_texts
from engine.generate.picture_bytes import encode_picture
from engine.protocol.making import FileUsed, Making, decode_making, encode_making
from engine.protocol.refs import LoraRef
from engine.protocol.request import PICTURE_FORMATS, GenerateRequest, PictureFormat
from engine.words.sampler_names import SAMPLERS, SCHEDULES

IMAGE = Image.new("RGB", (16, 8), "red")

texts = st.text(st.characters(codec="utf-8"), max_size=40)
paths = st.builds(Path, st.just("/"), texts.map(lambda text: text.replace("\0", "")))
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "sampler": st.sampled_from(SAMPLERS),
    "schedule": st.sampled_from(SCHEDULES),
    "turn": st.integers(1, 3),
    "turns": st.integers(3, 9),
    "every": st.integers(1, 9),
    "blocks": st.just((("IN04", 0.5), ("OUT01", 1 / 3))) | st.just(()),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field, by its type alone, so that fields to come are tried too."""
    if kind is str:
        return texts
    if kind is Path:
        return paths
    if kind is float:
        return st.floats(-1e6, 1e6) | st.integers(-9, 9).map(float)
    if kind is int:
        return st.integers(-1, 2**64 - 1)
    if kind is bool or kind is type(None):
        return st.from_type(kind)
    if typing.get_origin(kind) is tuple:
        first, *rest = typing.get_args(kind)
        if rest == [...]:
            return st.lists(values_of(first), max_size=2).map(tuple)
        return st.tuples(values_of(first), *map(values_of, rest))
    if typing.get_origin(kind) is typing.Literal:
        return st.sampled_from(typing.get_args(kind))
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        fields = typing.get_type_hints(kind).items()
        own = {name: BY_NAME[name] if name in BY_NAME else values_of(t) for name, t in fields}
        return st.builds(kind, **own)
    return st.one_of(*map(values_of, typing.get_args(kind)))


makings = st.builds(
    Making,
    values_of(GenerateRequest),
    values_of(tuple[LoraRef, ...]),
    st.integers(0, 8),
    values_of(tuple[FileUsed, ...]),
)


@settings(max_examples=500 if os.environ.get("LORASWITCH_FUZZ_MINUTES") else 60)
@given(makings, st.sampled_from(PICTURE_FORMATS), texts)
def test_a_picture_gives_back_what_made_it(
    tmp_path_factory: pytest.TempPathFactory, making: Making, kind: PictureFormat, infotext: str
) -> None:
    data, _ = encode_picture(IMAGE, kind, infotext, encode_making(making))
    path = tmp_path_factory.getbasetemp() / "one"
    path.write_bytes(data)
    said = read_picture_texts(path)
    assert decode_making(said.texts[MAKING]) == making
    assert (said.width, said.height) == IMAGE.size


@pytest.mark.parametrize("kind", PICTURE_FORMATS)
def test_the_infotext_stands_where_others_look_for_it(tmp_path: Path, kind: PictureFormat) -> None:
    text = "a fox\nNegative prompt: 狐\nSteps: 3"
    data, written = encode_picture(IMAGE, kind, text, "{}")
    assert written == kind
    image = Image.open(io.BytesIO(data))
    assert image.convert("RGB").getpixel((3, 3))[0] > 240
    if kind == "png":
        assert image.info["parameters"] == text
    else:
        comment = image.getexif().get_ifd(0x8769)[0x9286]
        assert comment == b"UNICODE\0" + text.encode("utf-16-be")


def test_a_text_too_long_for_a_jpeg_is_written_as_png(tmp_path: Path) -> None:
    prompt = "fox, " * 20_000
    making = Making(GenerateRequest(prompt, tmp_path))
    data, kind = encode_picture(IMAGE, "jpeg", prompt, encode_making(making))
    assert kind == "png"
    (tmp_path / "x").write_bytes(data)
    assert decode_making(read_picture_texts(tmp_path / "x").texts[MAKING]) == making


def test_nothing_in_the_file_tells_the_time(tmp_path: Path) -> None:
    making = encode_making(Making(GenerateRequest("a fox", tmp_path)))
    for kind in PICTURE_FORMATS:
        assert encode_picture(IMAGE, kind, "a", making) == encode_picture(IMAGE, kind, "a", making)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"request": 1}', '{"form": 2}', "[" * 100_000, '{"request":{"prompt":"a"}}'],
)
def test_what_is_no_making_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_making(text)


def test_a_making_of_another_form_is_refused(tmp_path: Path) -> None:
    text = encode_making(Making(GenerateRequest("a fox", tmp_path), form=2))
    with pytest.raises(ValueError, match="form 2"):
        decode_making(text)
    newer = encode_making(Making(GenerateRequest("a fox", tmp_path)))
    assert decode_making(newer.replace('"prompt"', '"of tomorrow":1,"prompt"')).request.prompt


def test_a_picture_of_a_batch_is_drawn_again_alone(tmp_path: Path) -> None:
    making = Making(GenerateRequest("a fox", tmp_path, seed=7, batch=4), index=2)
    assert (making.picture.seed, making.picture.batch) == (9, 1)


def test_packed_texts_are_bounded(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("parameters", "a" * (MOST_TEXT + 1), zip=True)
    info.add_text("Comment", "kept", zip=True)
    IMAGE.save(tmp_path / "x.png", pnginfo=info)
    said = read_picture_texts(tmp_path / "x.png")
    assert said.texts == {"Comment": "kept"}
    assert said.notes == ("a text larger than any program writes was passed over",)
