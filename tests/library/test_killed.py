"""A process that is killed at any moment of a scan or an edit leaves all that it said was done."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.library.index import LibraryIndex
from engine.library.scan import scan_folders
from engine.store.database import Database
from engine.store.loras import LORAS, LoraStore

from .conftest import WriteLora

KILLS = int(os.environ.get("KILLS", "5"))
"""How many processes are killed; `KILLS=100` tries it harder."""
WORK = """
import sys, itertools
from pathlib import Path
from engine.library.index import LibraryIndex
from engine.library.scan import refresh
from engine.library import scan
from engine.library.arrange import rename
from engine.library.sidecar_words import write_a1111
from engine.store.database import Database
from engine.store.lora_words import LoraWords
from engine.store.loras import LORAS, LoraStore

root, home = map(Path, sys.argv[1:])
scan.BATCH = 3
store = LoraStore(Database(home / "loraswitch.db", LORAS))
print("begun", flush=True)
for number in itertools.count():
    with LibraryIndex(home / "index.sqlite") as index:
        refresh([root], index)
        index.forget(file.id for file in index.known(root).values())
    words = LoraWords(notes=str(number), tags=("x",) * 50)
    write_a1111(root / "0.safetensors", words)
    store.put("tensors:1", 1, words)
    rename(root / "1.safetensors", root / "sub" / f"{number}.safetensors").undo()
    print(number, flush=True)
"""


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_kill_loses_nothing(root: Path, tmp_path: Path, write_lora: WriteLora, seed: int) -> None:
    for number in range(10):
        write_lora(f"{number}.safetensors")
    (root / "0.json").write_text('{"mine": "stays"}')
    (root / "1.json").write_text('{"notes": "of the one that moves"}')
    command = [sys.executable, "-c", WORK, str(root), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        chance = random.Random(seed)
        for _ in range(chance.randint(1, 4)):
            process.stdout.readline()
        # Not at the beginning of a round, where a line was just printed.
        for _ in range(chance.randint(0, 200_000)):
            pass
        process.send_signal(signal.SIGKILL)
        said = [int(line) for line in process.stdout.read().split()]
    done = max(said, default=0)

    with LibraryIndex(tmp_path / "index.sqlite") as index:
        assert len(scan_folders([root], index)) == 10
        assert not index.warning
    with Database(tmp_path / "loraswitch.db", LORAS) as database:
        assert int(LoraStore(database).words("tensors:1").notes or 0) >= done
        assert not database.warning
    sidecar = json.loads((root / "0.json").read_text())
    assert sidecar["mine"] == "stays"
    assert int(sidecar.get("notes", 0)) >= done
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".part"}
    texts = [path.read_text() for path in files if path.suffix == ".json"]
    assert texts.count('{"notes": "of the one that moves"}') == 1
