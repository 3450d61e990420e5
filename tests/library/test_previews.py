"""The picture beside a LoRA, and the one inside its header."""

import base64
import json
from pathlib import Path

import pytest

from engine.files.header import Header
from engine.library.beside import find_previews
from engine.library.previews import PREVIEW_ENDINGS, embedded_previews

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
WEBP = b"RIFF\x20\0\0\0WEBPVP8 " + bytes(20)


def test_order_of_preference(tmp_path: Path) -> None:
    lora = tmp_path / "neon.safetensors"
    assert find_previews(lora) == []
    expected: list[Path] = []
    for ending in reversed(PREVIEW_ENDINGS):
        (tmp_path / f"neon{ending}").touch()
        expected.insert(0, tmp_path / f"neon{ending}")
        assert find_previews(lora) == expected


def test_letter_case_matters_only_between_two(tmp_path: Path) -> None:
    (tmp_path / "Neon.Preview.PNG").touch()
    assert find_previews(tmp_path / "neon.safetensors") == [tmp_path / "Neon.Preview.PNG"]
    for name in ("neon.preview.png", "NEON.preview.png"):
        (tmp_path / name).touch()
    found = [path.name for path in find_previews(tmp_path / "neon.safetensors")]
    assert found == ["neon.preview.png", "NEON.preview.png", "Neon.Preview.PNG"]


def test_other_loras_previews_and_missing_folders(tmp_path: Path) -> None:
    (tmp_path / "neon2.png").touch()
    assert find_previews(tmp_path / "neon.safetensors") == []
    assert find_previews(tmp_path / "none" / "neon.safetensors") == []


def embedded(**metadata: str) -> list[bytes]:
    texts = {key.replace("_spec_", "."): value for key, value in metadata.items()}
    return list(embedded_previews(Header({}, texts, 0, 0)))


def test_embedded_pictures() -> None:
    text = base64.b64encode(PNG).decode()
    covers = json.dumps([1, "", text])
    assert embedded(ssmd_cover_images=covers) == [PNG]
    webp = f"data:image/webp;base64,{base64.b64encode(WEBP).decode()}"
    assert embedded(modelspec_spec_thumbnail=webp) == [WEBP]
    assert embedded(ssmd_cover_images=covers, modelspec_spec_thumbnail=webp) == [PNG, WEBP]
    assert embedded() == []


@pytest.mark.parametrize(
    "text", ["", "[", "{}", '["%%%"]', '["PHN2Zz4="]', '["A"]', '["é"]', "[" * 9999]
)
def test_what_is_no_picture_is_none(text: str) -> None:
    assert embedded(ssmd_cover_images=text) == []
    assert embedded(modelspec_spec_thumbnail=text) == []


def test_huge_pictures_are_left_alone() -> None:
    text = base64.b64encode(PNG + bytes(7_000_000)).decode()
    assert embedded(modelspec_spec_thumbnail=text) == []
