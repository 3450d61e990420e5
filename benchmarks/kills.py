"""Kill the engine while it draws and saves; look whether all that it announced is there.

The model is the demo. PyTorch is imported once, and each engine is a fork of that process, killed
at a random moment after its first picture. A picture that was announced must be whole on disk, give
back what made it, and be in the store with the same.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KILLS = 100
_LONGEST = 0.6
"""Seconds from the first picture to the kill, at most; a picture takes some hundredths."""
_PATIENCE = 300.0


def measure(*, quick: bool) -> dict[str, Any]:
    """How many were killed, what they had announced, and what of that was missing."""
    command = [sys.executable, "-m", "benchmarks.kills", str(2 if quick else KILLS)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def kill_often(kills: int, folder: Path) -> dict[str, Any]:
    """The same in this process, which has no other threads yet."""
    from engine.session.worker import Worker  # noqa: F401 - imported once, for all the forks

    dice = random.Random(1)
    announced: list[Path] = []
    faults: list[str] = []
    for number in range(kills):
        paths = _one(folder, number, dice.uniform(0, _LONGEST))
        faults += _faults(paths, folder / "store.db")
        announced += paths
    files = [path for path in (folder / "out").rglob("*") if path.is_file()]
    return {
        "kills": kills,
        "announced": len(announced),
        "files": len([path for path in files if not path.name.startswith(".")]),
        "unfinished_files_left": len([path for path in files if path.name.startswith(".")]),
        "faults": len(faults),
        "first_faults": faults[:5],
        "store_is_sound": _is_sound(folder / "store.db"),
    }


def _one(folder: Path, number: int, delay: float) -> list[Path]:
    """Fork an engine that draws for ever, kill it, and give what it announced."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _draw_for_ever(folder, number, writing)
    os.close(writing)
    said = b""
    end = time.monotonic() + _PATIENCE
    while b"\n" not in said and time.monotonic() < end:
        if select.select([reading], [], [], 1.0)[0]:
            said += os.read(reading, 1 << 16)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 1 << 16):
        said += more
    os.close(reading)
    # The last line may have been cut off: then it was not announced.
    whole = said[: said.rfind(b"\n") + 1]
    return [Path(os.fsdecode(line)) for line in whole.splitlines()]


def _draw_for_ever(folder: Path, number: int, writing: int) -> None:
    from engine.protocol.commands import Draw, Load
    from engine.protocol.events import EventMessage, PictureSaved
    from engine.protocol.request import PICTURE_FORMATS, GenerateRequest
    from engine.session import Session

    def take(message: EventMessage) -> None:
        if isinstance(message.event, PictureSaved):
            os.write(writing, os.fsencode(message.event.path) + b"\n")

    session = Session(take, store=folder / "store.db")
    session.send(Load(device="cpu", dtype="float32"))
    for turn in range(1000):
        request = GenerateRequest(
            f"a red star {number} {turn}",
            folder / "out",
            seed=turn,
            steps=1,
            width=64,
            height=64,
            batch=3,
            picture_format=PICTURE_FORMATS[turn % 3],
            file_names="[date]/[number]-[seed]",
        )
        session.send(Draw(request))
    time.sleep(_PATIENCE)
    os._exit(1)


def _faults(paths: list[Path], store: Path) -> Iterator[str]:
    from PIL import Image

    from engine.generate.picture_said import read_picture

    with _opened(store) as pictures:
        for path in paths:
            try:
                with Image.open(path) as image:
                    image.load()
                making = read_picture(path).making
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                yield f"{path.name}: {error}"
                continue
            if making is None:
                yield f"{path.name}: does not say what made it"
            elif pictures.making(path) != making:
                yield f"{path.name}: is not in the store, or is another there"


@contextmanager
def _opened(store: Path) -> Iterator[Any]:
    from engine.store.database import Database
    from engine.store.pictures import PICTURES, PictureStore

    with Database(store, PICTURES) as database:
        yield PictureStore(database)


def _is_sound(store: Path) -> bool:
    from engine.store.database import Database

    with Database(store) as database:
        return database.rows("PRAGMA integrity_check") == [("ok",)]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(kill_often(int(sys.argv[1]), Path(name))))
