"""The picture beside a LoRA, and the one inside its header."""

import base64
import json
from pathlib import Path

import pytest

from engine.library import embedded_preview, find_preview
from engine.library.previews import PREVIEW_ENDINGS
from engine.lora.header import Header

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
WEBP = b"RIFF\x20\0\0\0WEBPVP8 " + bytes(20)


def test_order_of_preference(tmp_path: Path) -> None:
    lora = tmp_path / "neon.safetensors"
    assert find_preview(lora) is None
    for ending in reversed(PREVIEW_ENDINGS):
        (tmp_path / f"neon{ending}").touch()
        assert find_preview(lora) == tmp_path / f"neon{ending}"


def test_letter_case_matters_only_between_two(tmp_path: Path) -> None:
    (tmp_path / "Neon.Preview.PNG").touch()
    assert find_preview(tmp_path / "neon.safetensors") == tmp_path / "Neon.Preview.PNG"
    (tmp_path / "neon.preview.png").touch()
    assert find_preview(tmp_path / "neon.safetensors") == tmp_path / "neon.preview.png"


def test_other_loras_previews_and_missing_folders(tmp_path: Path) -> None:
    (tmp_path / "neon2.png").touch()
    assert find_preview(tmp_path / "neon.safetensors") is None
    assert find_preview(tmp_path / "none" / "neon.safetensors") is None


def embedded(**metadata: str) -> bytes | None:
    return embedded_preview(Header({}, {k.replace("_spec_", "."): v for k, v in metadata.items()},
                                   0, 0))  # fmt: skip


def test_embedded_pictures() -> None:
    text = base64.b64encode(PNG).decode()
    assert embedded(ssmd_cover_images=json.dumps([1, "", text])) == PNG
    webp = base64.b64encode(WEBP).decode()
    assert embedded(modelspec_spec_thumbnail=f"data:image/webp;base64,{webp}") == WEBP
    assert embedded() is None


@pytest.mark.parametrize(
    "text", ["", "[", "{}", '["%%%"]', '["PHN2Zz4="]', '["A"]', '["é"]', "[" * 9999]
)
def test_what_is_no_picture_is_none(text: str) -> None:
    assert embedded(ssmd_cover_images=text) is None
    assert embedded(modelspec_spec_thumbnail=text) is None


def test_huge_pictures_are_left_alone() -> None:
    text = base64.b64encode(PNG + bytes(7_000_000)).decode()
    assert embedded(modelspec_spec_thumbnail=text) is None
