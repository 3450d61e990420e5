"""Files are written whole or not at all, and a kill leaves nothing that stays."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.files import hidden_files
from engine.files.hidden_files import hidden_file, sweep
from engine.files.saving import in_words, replace_file, write_new

ROOT = Path(__file__).parent.parent


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def numbered(taken: int) -> str:
    return f"{taken}.bin"


def refusing(number: int) -> Callable[..., object]:
    def refuse(*_: object, **__: object) -> object:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.fixture(params=["unnamed", "no unnamed files", "no /proc", "no hard links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What file systems offer, from all to least."""
    link = os.link

    def link_of_names(source: str, *names: object, **options: object) -> None:
        if source.startswith("/proc/"):
            raise FileNotFoundError(errno.ENOENT, "no /proc")
        link(source, *names, **options)

    if request.param in ("no unnamed files", "no hard links"):
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    if request.param == "no /proc":
        monkeypatch.setattr(os, "link", link_of_names)
    if request.param == "no hard links":
        monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    return str(request.param)


def test_a_new_file_takes_the_first_free_name(tmp_path: Path, file_system: str) -> None:
    folder = tmp_path / "new" / "folder"
    mask = os.umask(0o027)
    try:
        assert write_new(folder, numbered, b"mine") == folder / "0.bin"
    finally:
        os.umask(mask)
    (folder / "1.bin").symlink_to("nowhere")
    assert write_new(folder, numbered, b"yours" * 100_000).name == "2.bin"
    assert (folder / "0.bin").read_bytes() == b"mine"
    assert (folder / "2.bin").stat().st_size == 500_000
    assert stat.S_IMODE((folder / "0.bin").stat().st_mode) == 0o640
    assert names(folder) == ["0.bin", "1.bin", "2.bin"]


def test_many_at_once_never_overwrite_each_other(tmp_path: Path, file_system: str) -> None:
    contents = [str(number).encode() for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda data: write_new(tmp_path, numbered, data), contents))
    assert [path.read_bytes() for path in paths] == contents
    assert len(names(tmp_path)) == 40


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failure_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, file_system: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old"
    old.write_text("old")
    monkeypatch.setattr(os, "fsync", refusing(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        write_new(tmp_path, numbered, b"new")
    with pytest.raises(OSError, match=os.strerror(number)):
        replace_file(old, b"new")
    assert names(tmp_path) == ["old"]
    assert old.read_text() == "old"


def test_a_file_that_is_larger_than_allowed(tmp_path: Path) -> None:
    """A real failure in the middle of writing, as on a full disk."""
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from pathlib import Path
from engine.files.saving import replace_file, write_new
folder = Path({str(tmp_path)!r})
for write in (lambda data: write_new(folder, str, data), lambda data: replace_file(folder / "x", data)):
    write(b"small")
    try:
        write(b"large" * 1000)
    except OSError as error:
        print(error.strerror)
"""  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["File too large"] * 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "0": b"small",
        "x": b"small",
    }


def test_the_folder_disappears_in_the_middle(
    tmp_path: Path, file_system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    fsync = os.fsync

    def remove(number: int) -> None:
        fsync(number)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    monkeypatch.setattr(os, "fsync", remove)
    with pytest.raises(FileNotFoundError):
        write_new(folder, numbered, b"data")
    monkeypatch.setattr(os, "fsync", fsync)
    assert write_new(folder, numbered, b"data").read_bytes() == b"data"


def test_replacing_keeps_links_and_rights(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "config"
    replace_file(target, b"old")
    target.chmod(0o600)
    link = tmp_path / "config"
    link.symlink_to(target)
    replace_file(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names(target.parent) == ["config"]
    dangling = tmp_path / "dangling"
    dangling.symlink_to("later/file")
    replace_file(dangling, b"new")
    assert (tmp_path / "later" / "file").read_bytes() == b"new"


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    """A link to /dev/null is how people switch a memory off."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path):
        link = tmp_path / "link"
        link.symlink_to(path)
        with pytest.raises(OSError, match="no file"):
            replace_file(link, b"new")
        link.unlink()
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert names(tmp_path) == ["fifo"]


# Writes in a loop and says each path; its parent kills it at any moment.
KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from engine.files.hidden_files import sweep
from engine.files.saving import replace_file, write_new
folder, without, kills = Path(sys.argv[1]), sys.argv[2].split(), int(sys.argv[3])
# The kernel keeps what a killed process has written: only a loss of power needs this.
os.fsync = lambda number: None
if "unnamed" in without:
    del os.O_TMPFILE
if "links" in without:
    def link(*_, **__):
        raise PermissionError(1, "no links")
    os.link = link
chance = random.Random(7)
for _ in range(kills):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        content = b"whole" * 40_000
        while True:
            name = write_new(folder, lambda taken: f"{os.getpid()}-{taken}", content).name
            os.write(writing, name.encode() + b"\\n")
            replace_file(folder / "state", content)
    os.close(writing)
    time.sleep(chance.uniform(0, 0.012))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        for name in said.read().split():
            assert (folder / name).exists(), name
print(len([n for n in os.listdir(folder) if n.startswith(".")]), sweep(folder))
"""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="kills leave files here")
def test_a_hundred_kills_with_unnamed_files(tmp_path: Path) -> None:
    left, swept = killed(tmp_path, "")
    # Only those of the file that is replaced.
    assert left == swept
    whole(tmp_path)


@pytest.mark.parametrize("without", ["unnamed", "unnamed links"])
def test_a_hundred_kills_without(tmp_path: Path, without: str) -> None:
    left, swept = killed(tmp_path, without)
    assert left == swept > 0
    whole(tmp_path)


def killed(folder: Path, without: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), without, "100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    left, swept = map(int, done.stdout.split())
    return left, swept


def whole(folder: Path) -> None:
    paths = list(folder.iterdir())
    assert len(paths) > 10
    for path in paths:
        assert not path.name.startswith(".")
        assert path.read_bytes() == b"whole" * 40_000


def test_what_somebody_writes_is_not_swept(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    with hidden_file(directory) as (_, name):
        assert sweep(tmp_path) == 0
        assert names(tmp_path) == [name]
    os.close(directory)
    assert names(tmp_path) == []


def test_a_file_that_is_swept_before_its_lock_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, swept = hidden_files.hold, list[int]()

    def late(number: int) -> bool | None:
        if not swept:
            swept.append(0)
            swept[0] = sweep(tmp_path)
        return hold(number)

    monkeypatch.setattr(hidden_files, "hold", late)
    replace_file(tmp_path / "state", b"new")
    assert swept == [1]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"state": b"new"}


def test_only_our_own_names_are_swept(tmp_path: Path) -> None:
    ours = ".loraswitch-0123456789abcdef.part"
    kept = [".hidden", ".loraswitch-notes.part", "loraswitch-0123456789abcdef.part", f"{ours}.bak"]
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / ".loraswitch-1111111111111111.part").mkdir()
    (tmp_path / ".loraswitch-2222222222222222.part").symlink_to(tmp_path / ".hidden")
    os.mkfifo(tmp_path / ".loraswitch-3333333333333333.part")
    (tmp_path / ours).touch()
    before = set(names(tmp_path))
    assert sweep(tmp_path) == 1
    assert before - set(names(tmp_path)) == {ours}
    assert sweep(tmp_path / "nowhere") == sweep(tmp_path / ".hidden") == 0


def test_where_locks_do_not_work_age_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.flock", refusing(errno.ENOLCK))
    replace_file(tmp_path / "state", b"works all the same")
    for number, days in enumerate((0, 0.5, 2)):
        path = tmp_path / f".loraswitch-{number:016}.part"
        path.touch()
        os.utime(path, times=(0, time.time() - days * 86400))
    assert sweep(tmp_path) == 1
    assert len(names(tmp_path)) == 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.ENOTDIR, errno.EIO])
def test_reasons_are_words(number: int) -> None:
    words = in_words(OSError(number, os.strerror(number), "/a/.hidden"))
    assert "Errno" not in words
    assert ".hidden" not in words
