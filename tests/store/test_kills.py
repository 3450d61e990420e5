"""Saving is killed at random moments: what was announced is whole on disk and in the store.

The engine itself is killed so by `python -m benchmarks kills`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from engine.generate.picture_said import read_picture
from engine.generate.save import FinishedPicture, save_or_rescue
from engine.protocol.making import Making
from engine.protocol.refs import LoraRef
from engine.protocol.request import PICTURE_FORMATS, GenerateRequest
from engine.session.writing import PictureWriter
from engine.store.database import Database
from engine.store.drawn import DrawnPictures
from engine.store.pictures import PICTURES, PictureStore

KILLS = 5


def save_for_ever(folder: Path, announced: int) -> None:
    """As the engine does it: written on a thread, recorded, then told of."""
    drawn = DrawnPictures(folder / "store.db")
    image = Image.effect_noise((192, 192), 60).convert("RGB")

    def write(number: int) -> None:
        kind = PICTURE_FORMATS[number % 3]
        request = GenerateRequest("a fox", folder / "out", seed=number, picture_format=kind)
        making = Making(request, (LoraRef("/x/ink.safetensors", 0.8),))
        path, _ = save_or_rescue(FinishedPicture(image, "a fox", making, "m", time.time()))
        assert drawn.record(path, time.time(), image.size, making, "m") == ""
        os.write(announced, os.fsencode(path) + b"\n")

    with PictureWriter() as writer:
        for number in range(100_000):
            writer.put(lambda number=number: write(number))  # type: ignore[misc]


def kill_often(folder: Path, kills: int) -> dict[str, int]:
    """Counts what was announced, and what of it is missing; the process must have no threads."""
    dice = random.Random(1)
    paths: list[Path] = []
    for _ in range(kills):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            save_for_ever(folder, writing)
            os._exit(1)
        os.close(writing)
        said = os.read(reading, 1 << 16)
        time.sleep(dice.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(reading, 1 << 16):
            said += more
        os.close(reading)
        paths += [Path(os.fsdecode(line)) for line in said[: said.rfind(b"\n")].split(b"\n")]
    missing = 0
    with Database(folder / "store.db", PICTURES) as database:
        store = PictureStore(database)
        for path in paths:
            with Image.open(path) as image:
                image.load()
            making = read_picture(path).making
            missing += making is None or store.making(path) != making
        sound = database.rows("PRAGMA integrity_check") == [("ok",)]
    return {"announced": len(paths), "missing": missing, "sound": int(sound)}


def test_what_was_announced_is_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.store.test_kills", str(tmp_path), str(KILLS)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["announced"] >= KILLS
    assert (found["missing"], found["sound"]) == (0, 1)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(kill_often(Path(sys.argv[1]), int(sys.argv[2]))))
