"""The library follows the disk: what is new, changed, moved, gone or out of sight shows itself."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.files import mounts
from engine.library import scan_process, watching
from engine.library import service as service_module
from engine.library.index import LibraryIndex
from engine.library.search import SearchIndex
from engine.library.service import LibraryService

from .conftest import WriteLora

PATIENCE = 20.0


class Seen:
    """What the service has told; a test waits for it to be as it should."""

    def __init__(self) -> None:
        self.index = SearchIndex.of(())
        self.is_complete = False
        self.news: list[str] = []
        self.problems: list[str] = []
        self._told = threading.Condition()

    def on_library(self, index: SearchIndex, is_complete: bool) -> None:
        with self._told:
            self.index, self.is_complete = index, is_complete
            self._told.notify_all()

    def on_progress(self, done: int, total: int) -> None:
        pass

    def on_problem(self, words: str) -> None:
        self.problems.append(words)

    def on_news(self, words: str, was_asked: bool) -> None:
        with self._told:
            self.news.append(words)
            self._told.notify_all()

    def until(self, holds: Callable[[], bool]) -> None:
        with self._told:
            assert self._told.wait_for(holds, PATIENCE), self.keys

    @property
    def keys(self) -> list[str]:
        return [entry.key for entry in self.index.filter("")]

    @property
    def errors(self) -> dict[str, str]:
        return {entry.name: entry.error for entry in self.index.filter("") if entry.error}


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def follow(root: Path, tmp_path: Path, seen: Seen) -> Iterator[Callable[..., LibraryService]]:
    started: list[tuple[LibraryService, threading.Thread]] = []

    def begin(*roots: Path) -> LibraryService:
        service = LibraryService(LibraryIndex(tmp_path / "i.sqlite"), roots or (root,), seen)
        thread = threading.Thread(target=service.run)
        thread.start()
        started.append((service, thread))
        seen.until(lambda: seen.is_complete)
        return service

    yield begin
    for service, thread in started:
        service.stop()
        thread.join()
        service.index.close()


@pytest.mark.parametrize("many", [service_module._MANY, 0], ids=["here", "beside"])
def test_files_come_change_move_and_go(
    root, follow, seen, write_lora: WriteLora, monkeypatch, many: int
) -> None:
    """Looked at by this process, or by another, as where many change at once."""
    monkeypatch.setattr(service_module, "_MANY", many)
    if not many:
        monkeypatch.setattr(service_module, "refresh_folders", None)
        monkeypatch.setattr(scan_process, "refresh_folders", None)
    write_lora("styles/a.safetensors")
    (root / "page.safetensors").write_text("<html>Not found</html>")
    follow()
    (root / "page.safetensors").unlink()
    seen.until(lambda: len(seen.keys) == 1)
    write_lora("styles/b.safetensors")
    seen.until(lambda: len(seen.keys) == 2)
    write_lora("styles/b.safetensors", **{"modelspec.title": "Another"})
    seen.until(lambda: "Another" in [entry.title for entry in seen.index.filter("")])
    (root / "styles/a.json").write_text('{"notes": "mine"}')
    seen.until(lambda: [entry.name for entry in seen.index.filter("mine")] == ["a"])
    (root / "styles").rename(root / "moved")
    seen.until(lambda: seen.keys == ["moved/a.safetensors", "moved/b.safetensors"])
    (root / "moved/a.safetensors").unlink()
    seen.until(lambda: seen.keys == ["moved/b.safetensors"])
    shutil.rmtree(root / "moved")
    seen.until(lambda: seen.keys == [])


def test_what_happens_in_new_folders_and_below_them_is_followed(
    root, follow, seen, write_lora: WriteLora
) -> None:
    """Those that were there before are watched one by one, those that come with all below them."""
    write_lora("old/below/a.safetensors")
    follow()
    write_lora("old/below/b.safetensors")
    seen.until(lambda: len(seen.keys) == 2)
    write_lora("new/below/c.safetensors")
    seen.until(lambda: len(seen.keys) == 3)
    write_lora("new/below/d.safetensors")
    seen.until(lambda: len(seen.keys) == 4)
    write_lora("new/later/e.safetensors")
    seen.until(lambda: len(seen.keys) == 5)
    (root / "new").rename(root / "old/moved")
    seen.until(lambda: "old/moved/below/c.safetensors" in seen.keys)
    write_lora("old/moved/below/f.safetensors")
    seen.until(lambda: len(seen.keys) == 6)
    (root / "old/moved/later/e.safetensors").unlink()
    seen.until(lambda: len(seen.keys) == 5)


def test_many_new_folders_are_watched_as_one(
    root, follow, seen, write_lora: WriteLora, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a watch of its own only while they are few."""
    monkeypatch.setattr(watching, "_MOST_NEW", 1)
    begun: list[tuple[Path, ...]] = []
    run = watching.Watching._run

    def noting(self: watching.Watching, folders: tuple[Path, ...], stop: threading.Event) -> None:
        begun.append(folders)
        run(self, folders, stop)

    monkeypatch.setattr(watching.Watching, "_run", noting)
    follow()
    for number in range(4):
        write_lora(f"new{number}/a.safetensors")
        seen.until(lambda: len(seen.keys) == number + 1)  # noqa: B023
    assert len(begun) > 1
    write_lora("new0/late.safetensors")
    seen.until(lambda: len(seen.keys) == 5)


def test_linux_is_asked_to_watch_folders_and_not_their_files(
    root, follow, seen, write_lora: WriteLora, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With all below a folder watchfiles looks at every file, while no other thread runs."""
    asked: list[tuple[set[str], object]] = []

    def watch(*folders: Path, stop_event: threading.Event, **options: object) -> Iterator[set[str]]:
        asked.append(({folder.name for folder in folders}, options["recursive"]))
        yield set()
        stop_event.wait()

    monkeypatch.setattr("watchfiles.watch", watch)
    monkeypatch.setattr("sys.platform", "linux")
    write_lora("a/b/one.safetensors")
    write_lora(".hidden/two.safetensors")
    (tmp_path / "elsewhere").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    follow()
    seen.until(lambda: bool(asked))
    assert asked == [({root.name, "a", "b", "link"}, False)]


def test_a_folder_that_goes_before_it_is_watched_is_left_out(
    root, follow, seen, write_lora: WriteLora, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are watched all the same."""

    def folders_below(folders: tuple[Path, ...]) -> Iterator[Path]:
        yield from (*folders, root / "gone")

    monkeypatch.setattr(watching, "_folders_below", folders_below)
    service = follow()
    write_lora("late.safetensors")
    seen.until(lambda: "late.safetensors" in seen.keys)
    assert not service._watching.has_failed


def test_a_drive_that_goes_marks_its_files_and_brings_them_back(
    root, follow, seen, write_lora: WriteLora, monkeypatch
) -> None:
    monkeypatch.setattr(service_module, "_POLL_SECONDS", 0.05)
    write_lora("a.safetensors")
    follow()
    root.rename(root.with_name("away"))
    seen.until(lambda: "is its drive mounted?" in seen.errors.get("a", ""))
    assert [entry.name for entry in seen.index.filter("missing:yes")] == ["a"]
    root.with_name("away").rename(root)
    seen.until(lambda: seen.errors == {})
    write_lora("b.safetensors")
    seen.until(lambda: seen.keys == ["a.safetensors", "b.safetensors"])


def test_folders_across_a_network_are_looked_at_from_time_to_time(
    root, follow, seen, write_lora: WriteLora, monkeypatch
) -> None:
    monkeypatch.setattr(service_module, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(watching, "is_on_network", lambda path: True)
    assert not mounts.is_on_network(root)
    follow()
    write_lora("a.safetensors")
    seen.until(lambda: seen.keys == ["a.safetensors"])


def test_a_link_to_a_folder_is_followed(root, tmp_path, follow, seen, write_lora) -> None:
    write_lora("a.safetensors")
    other = tmp_path / "other"
    other.mkdir()
    follow()
    (root / "linked").symlink_to(other)
    shutil.copy(root / "a.safetensors", other / "b.safetensors")
    seen.until(lambda: "linked/b.safetensors" in seen.keys)


def test_a_look_at_the_disk_is_answered_when_the_list_has_it(
    root, follow, seen, write_lora: WriteLora, monkeypatch
) -> None:
    monkeypatch.setattr(service_module, "can_watch", lambda root: False)
    monkeypatch.setattr(service_module, "_POLL_SECONDS", 3600.0)
    service = follow()
    write_lora("a.safetensors")
    found: list[list[str]] = []
    looked = threading.Event()
    service.look(lambda: (found.append(seen.keys), looked.set()))
    assert looked.wait(PATIENCE)
    assert found == [["a.safetensors"]]


def test_a_first_scan_fills_the_list_while_it_goes_on(
    root, tmp_path, write_lora: WriteLora, monkeypatch
) -> None:
    monkeypatch.setattr(service_module, "_PARTIAL_SECONDS", 0.0)
    monkeypatch.setattr(service_module, "_POLL_SHARE", 0)
    monkeypatch.setattr("engine.library.scan.BATCH", 2)
    for number in range(7):
        write_lora(f"{number}.safetensors")
    told: list[tuple[int, bool]] = []

    class Listener(Seen):
        def on_library(self, index: SearchIndex, is_complete: bool) -> None:
            told.append((len(index), is_complete))
            if is_complete:
                service.stop()

    with LibraryIndex(tmp_path / "i.sqlite") as index:
        service = LibraryService(index, [root], Listener())
        service.run()
    assert told == [(2, False), (4, False), (6, False), (7, False), (7, True)]


def test_what_stays_as_it_is_is_no_news(root, follow, seen, write_lora: WriteLora) -> None:
    write_lora("a.safetensors")
    (root / "page.safetensors").write_text("<html>Not found, and read at every look</html>")
    service = follow()
    shown = seen.index
    looked = threading.Event()
    service.look(looked.set)
    assert looked.wait(PATIENCE)
    assert (seen.news, seen.index) == ([], shown)


def test_folders_that_cannot_be_watched_are_looked_at(
    follow, seen: Seen, root: Path, write_lora: WriteLora, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the system watches no more of them."""

    def refuse(*folders: Path, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("watchfiles.watch", refuse)
    monkeypatch.setattr(service_module, "_POLL_SECONDS", 0.05)
    follow()
    seen.until(lambda: seen.is_complete)
    write_lora("late.safetensors")
    seen.until(lambda: "late.safetensors" in seen.keys)
