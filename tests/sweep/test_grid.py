"""The sheets: each picture in its place, labels that can be read, written as cells come."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from engine.sweep.grid import Grid
from engine.sweep.labels import Label, font_of, wrapped
from engine.sweep.layout import contact_sheets, grid_pages
from engine.sweep.plan import Axis

AXES = (Axis("steps", (1, 2, 3)), Axis("seed", (1, 2)), Axis("clip_skip", (1, 2)))


def picture(folder: Path, number: int, size: tuple[int, int] = (64, 64)) -> Path:
    path = folder / f"{number}.png"
    Image.new("RGB", size, (200, number * 10, 50)).save(path)
    return path


def places(path: Path) -> dict[int, tuple[int, int]]:
    """The upper left corner of each picture, by the green of its pixels."""
    with Image.open(path) as image:
        image = image.convert("RGB")
        found: dict[int, tuple[int, int]] = {}
        for y in range(0, image.height, 2):
            for x in range(0, image.width, 2):
                red, green, blue = image.getpixel((x, y))
                if (red, blue) == (200, 50):
                    found.setdefault(green // 10, (x, y))
    return found


def test_pictures_stand_by_their_values(tmp_path: Path) -> None:
    grid = Grid(tmp_path, grid_pages(AXES), "a fox", (64, 64))
    for number in range(12):
        grid.show(number, picture(tmp_path, number))
    grid.write(at_last=True)

    found = places(tmp_path / "grid.png")
    assert len(found) == 12
    # The plan counts the last axis fastest: steps · 4 + seed · 2 + clip skip.
    x, y = ({n: place[i] for n, place in found.items()} for i in (0, 1))
    assert x[0] < x[4] < x[8]
    assert x[0] == x[1] == x[2] == x[3]
    assert y[0] < y[2] < y[1] < y[3]
    assert y[0] == y[4] == y[8]


def test_a_sheet_is_there_from_the_first_cell_and_not_written_all_the_time(tmp_path: Path) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.05
        return now

    grid = Grid(tmp_path, grid_pages(AXES), "a fox", (64, 64), clock=clock)
    grid.show(0, picture(tmp_path, 0))
    grid.write()
    assert set(places(tmp_path / "grid.png")) == {0}
    grid.show(1, picture(tmp_path, 1))
    grid.write()  # too soon
    assert set(places(tmp_path / "grid.png")) == {0}
    now += 10
    grid.write()
    assert set(places(tmp_path / "grid.png")) == {0, 1}
    grid.show(2, picture(tmp_path, 2))
    grid.write(at_last=True)
    assert set(places(tmp_path / "grid.png")) == {0, 1, 2}


def test_many_large_pictures_make_a_sheet_of_a_sensible_size(tmp_path: Path) -> None:
    axes = (Axis("steps", tuple(range(1, 21))), Axis("seed", tuple(range(15))))
    grid = Grid(tmp_path, grid_pages(axes), "a fox", (1024, 1536))
    grid.write(at_last=True)
    with Image.open(grid.paths[0]) as image:
        assert image.width * image.height < 60_000_000


def test_contact_sheets_have_pages(tmp_path: Path) -> None:
    grid = Grid(tmp_path, contact_sheets([f"lora {n}" for n in range(70)]), "", (64, 64), "sheet")
    grid.show(65, picture(tmp_path, 25))
    grid.write(at_last=True)
    assert [path.name for path in grid.paths] == ["sheet.png", "sheet-2.png"]
    assert set(places(grid.paths[1])) == {25}
    assert not places(grid.paths[0])


def test_a_fault_is_written_in_its_place(tmp_path: Path) -> None:
    grid = Grid(tmp_path, grid_pages(AXES[:1]), "", (128, 128))
    grid.write(at_last=True)
    before = grid.paths[0].read_bytes()
    grid.refuse(1, "neon.safetensors: made for SD 1.5, and so it does not fit this model at all.")
    grid.show(2, tmp_path / "missing.png")
    grid.write(at_last=True)
    assert grid.paths[0].read_bytes() != before


def test_long_labels_are_wrapped_within_their_room() -> None:
    font = font_of(16)
    text = "a_very_long_name_of_a_lora-v3.safetensors " + "x" * 60
    lines = wrapped(text, font, 120)
    assert all(font.getlength(line) <= 120 for line in lines)
    assert "".join(lines) == text.replace(" ", "")
    short = Label(text, font, 120, most_lines=2)
    assert short.text.endswith("…")
    assert short.width <= 120
    assert wrapped("", font, 100) == []
    assert wrapped("\x1b[31mred\nblue", font, 300) == ["red blue"]
