"""The library as it lives: known from the last time, looked through, and followed from then on."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from engine.errors import EngineError
from engine.files.hashes import FileHashes
from engine.library.entry import LibraryEntry
from engine.library.hashing import Hashing
from engine.library.index import LibraryIndex, absolute
from engine.library.news import News, Pending
from engine.library.own import Own
from engine.library.own_words import OwnWords
from engine.library.previews import PREVIEW_ENDINGS
from engine.library.scan import Look, ScanProgress, refresh, refresh_folders
from engine.library.scan_process import refresh_beside, refresh_folders_beside
from engine.library.search import SearchIndex
from engine.library.sidecar_words import write_a1111
from engine.library.sidecars import SIDECAR_ENDINGS
from engine.library.watching import Watching, can_watch
from engine.store.lora_words import LoraWords

_PARTIAL_SECONDS = 0.4
"""While a first scan runs, the list is filled this often, or slower where that takes longer."""
_POLL_SECONDS = 5.0
"""How often folders are looked at of whose changes the system does not tell."""
_TELLING = (".safetensors", *SIDECAR_ENDINGS, *PREVIEW_ENDINGS)
_LARGE = 2_000
"""Files from which on another process looks through them all; to start it takes 0.2 s."""
_MANY = 200
"""Changed files from which on another process looks at them."""
_POLL_SHARE = 20
"""A look that takes long is taken less often: this many times its own length."""


class Listener(Protocol):
    """Who is told, from the library's thread."""

    def on_library(self, index: SearchIndex, is_complete: bool) -> object:
        """These files are known now."""

    def on_progress(self, done: int, total: int) -> object:
        """A scan has looked at so many files."""

    def on_problem(self, words: str) -> object:
        """Something is amiss that stops nothing."""

    def on_news(self, words: str, was_asked: bool) -> object:
        """What is new, changed or gone, in words."""


class LibraryService:
    """Keeps an index in step with library folders; `run` does so on the thread that calls it.

    Other threads may call everything else.
    """

    def __init__(
        self,
        index: LibraryIndex,
        roots: Iterable[Path],
        listener: Listener,
        open_words: Callable[[], OwnWords | None] = lambda: None,
        known: tuple[tuple[Path, ...], SearchIndex] | None = None,
        *,
        writes_sidecars: bool = False,
    ) -> None:
        """`open_words` gives the user's words, once the list is shown; None where there are none.

        They may be written beside the files as well. `known` is the list that the listener has
        already, with the library folders that it is of.
        """
        self._open_words = open_words
        self._writes_sidecars = writes_sidecars
        self.index = index
        self._words: OwnWords | None = None
        self._hashing: Hashing | None = None
        self.roots = tuple(dict.fromkeys(map(absolute, roots)))
        self._listener = listener
        self._wishes: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._scanning = threading.Event()
        self._watching = Watching(
            lambda paths: self._wishes.put(lambda: self._follow(paths)),
            lambda: self._wishes.put(self._look_again),
        )
        self._own: Mapping[int, Own] = {}
        known_roots, self._list = known or ((), SearchIndex({}, {}, index.entry))
        self._has_list = tuple(dict.fromkeys(map(absolute, known_roots))) == self.roots
        self._pending = Pending()
        self._shown_at = 0.0
        self._patience = _PARTIAL_SECONDS
        self._problems: frozenset[str] = frozenset()

    def run(self) -> None:
        """Show what is known, look at the disk, and follow its changes until `stop`."""
        if not self._has_list:
            self._show_known()
        self._words = self._open_words()
        if self._words is not None:
            self._hashing = Hashing(self._words, self._wish_own)
            if self._read_own():
                self._list = self._list.with_own(self._own)
        self._scan(was_asked=False)
        if self._words is not None and self._hashing is not None:
            try:
                self._hashing.add(self._words.without_hash())
            except EngineError as error:
                self._listener.on_problem(str(error))
            self._hash_moved(range(len(self._list)))
        poll = _POLL_SECONDS
        while not self._stopping.is_set():
            self._watch()
            try:
                wish = self._wishes.get(timeout=poll)
            except queue.Empty:
                start = time.monotonic()
                self._poll()
                poll = max(_POLL_SECONDS, _POLL_SHARE * (time.monotonic() - start))
                continue
            if wish is not None:
                wish()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()
        self._watching.stop()
        if self._hashing is not None:
            self._hashing.stop()
        self._wishes.put(None)

    def have_roots(self, roots: Iterable[Path]) -> None:
        """Have these library folders from now on."""
        wanted = tuple(dict.fromkeys(map(absolute, roots)))

        def have() -> None:
            if wanted != self.roots:
                self.roots = wanted
                self._read_own()
                self._show_known()
                self._scan(was_asked=False)

        self._wishes.put(have)

    def rescan(self) -> bool:
        """Look through all folders again; False while that is being done."""
        if self._scanning.is_set():
            return False
        self._wishes.put(lambda: self._scan(was_asked=True))
        return True

    def look(self, on_done: Callable[[], object]) -> None:
        """Look at the disk for what may be new there, and call back when the list has it."""

        def look() -> None:
            self._poll(everything=True)
            on_done()

        self._wishes.put(look)

    def say(
        self,
        entry: LibraryEntry,
        change: Callable[[LoraWords], LoraWords],
        on_done: Callable[[LoraWords], object],
    ) -> None:
        """Change the user's words about a file; `on_done` gets those of before, once it is kept."""

        def say() -> None:
            words = self._words
            if words is None:
                return
            try:
                edit = words.say(entry, change(words.of(entry)))
            except EngineError as error:
                self._listener.on_problem(str(error))
                return
            try:
                if self._writes_sidecars:
                    write_a1111(entry.path, words.of(entry))
            except EngineError as error:  # they are in the store all the same
                self._listener.on_problem(str(error))
            self._show_own()
            on_done(edit.before)
            if self._hashing is not None:
                self._hashing.add([entry.path])

        self._wishes.put(say)

    def tensors_of(self, path: Path) -> str:
        """The hash of a file's tensors where it is known; empty where it is not."""
        return self._words.tensors_of(path) if self._words is not None else ""

    def hashes_of(self, path: Path) -> FileHashes | None:
        """The hashes of a file, computed where they are not known; None where it cannot be read."""
        return self._words.hash(path) if self._words is not None else None

    def with_tensors(self, tensors_sha256: str) -> Path | None:
        """A file with these tensors, among those whose hashes are known."""
        if self._words is None or not tensors_sha256:
            return None
        return self._words.with_tensors(tensors_sha256)

    def count_use(self, paths: Iterable[Path]) -> None:
        """Count one more use of files."""
        used, now = tuple(paths), time.time()

        def count() -> None:
            if self._words is None or not used:
                return
            try:
                self._words.count_use(used, now)
            except EngineError as error:
                self._listener.on_problem(str(error))
                return
            self._show_own()

        self._wishes.put(count)

    # On the library's thread.

    def _watch(self) -> None:
        self._watching.watch(root for root in self.roots if can_watch(root))

    def _look_again(self) -> None:
        """What changed between the scan and the beginning of the watching is told by nobody."""
        self._poll(everything=True)

    def _wish_own(self) -> None:
        self._wishes.put(self._show_own)

    def _read_own(self) -> bool:
        """Read the user's words; True when they are other than before."""
        if self._words is None:
            return False
        try:
            own = self._words.overlay(self.roots)
        except EngineError as error:
            self._listener.on_problem(str(error))
            return False
        before, self._own = self._own, own
        return own != before

    def _show_own(self) -> None:
        if self._read_own():
            self._list = self._list.with_own(self._own)
            self._show(is_complete=True)

    def _hash_moved(self, numbers: Iterable[int]) -> None:
        """Hash files that may be others with words, moved: their words are found by the hash."""
        if self._words is None or self._hashing is None:
            return
        try:
            sizes = self._words.lost_sizes()
        except EngineError as error:
            self._listener.on_problem(str(error))
            return
        if sizes:
            moved = (n for n in numbers if self._list.size(n) in sizes)
            self._hashing.add([self._list.entry(number).path for number in moved])

    def _show_known(self) -> None:
        self._list = SearchIndex(*self.index.listed(self.roots), self.index.entry, self._own)
        if len(self._list):
            self._show(is_complete=False)

    def _scan(self, was_asked: bool) -> None:
        self._scanning.set()
        news = self._take(lambda report: self._refresh(self.roots, report))
        self._scanning.clear()
        self._show(is_complete=True)
        self.index.pack(self.roots, self._is_over)
        if was_asked:
            self._listener.on_news(news.words or "nothing changed", True)

    def _poll(self, everything: bool = False) -> None:
        """Look at the folders that are not watched, or at all of them."""
        failed = self._watching.has_failed
        roots = [root for root in self.roots if everything or failed or not can_watch(root)]
        if roots:
            self._tell(self._take(lambda report: self._refresh(roots, report)))

    def _refresh(self, roots: Iterable[Path], report: Callable[[ScanProgress], None]) -> None:
        """Look through folders here, or by another process as soon as they prove to be large."""
        total = len(self._list)

        def count(progress: ScanProgress) -> None:
            nonlocal total
            total = max(total, progress.total)
            report(progress)

        if total < _LARGE:
            refresh(roots, self.index, count, lambda: self._is_over() or total >= _LARGE)
        if total >= _LARGE and not self._is_over():
            refresh_beside(roots, self.index, report, self._is_over)

    def _follow(self, paths: set[Path]) -> None:
        """Look at what has changed."""
        if not paths.isdisjoint(self.roots) or any(path.is_symlink() for path in paths):
            # A library folder may be another one now, and a new link leads to more folders.
            self._watching.stop()

        looks = _looks_at(paths, self.roots)
        look = refresh_folders if len(paths) < _MANY else refresh_folders_beside
        self._tell(self._take(lambda report: look(looks, self.index, report, self._is_over)))

    def _tell(self, news: News) -> None:
        if news.words:
            fresh = list(self._pending.rows)
            self._show(is_complete=True)
            if fresh:
                self._hash_moved(n for id in fresh if (n := self._list.number(id)) is not None)
            self._listener.on_news(news.words, False)

    def _take(self, work: Callable[[Callable[[ScanProgress], None]], None]) -> News:
        """Do some scanning; what it finds goes into the list as it comes."""
        news, problems = News(), set[str]()

        def take(progress: ScanProgress) -> None:
            news.add(progress)
            self._pending.add(progress)
            for problem in set(progress.problems) - self._problems - problems:
                self._listener.on_problem(problem)
            problems.update(progress.problems)
            if self._scanning.is_set():
                self._listener.on_progress(progress.done, progress.total)
                self._show_partly()

        work(take)
        self._problems = frozenset(problems)
        return news

    def _show_partly(self) -> None:
        start = time.monotonic()
        if start - self._shown_at > self._patience and self._pending.rows:
            self._show(is_complete=False)
            self._patience = max(_PARTIAL_SECONDS, _POLL_SHARE * (time.monotonic() - start))

    def _show(self, is_complete: bool) -> None:
        self._list = self._pending.into(self._list, self.index)
        self._pending = Pending()
        self._shown_at = time.monotonic()
        if not self._is_over():
            self._listener.on_library(self._list, is_complete)
        if is_complete:
            self._list.prepare()

    def _is_over(self) -> bool:
        return self._stopping.is_set()


def _looks_at(paths: Iterable[Path], roots: Iterable[Path]) -> list[Look]:
    """What to look at to see what became of paths."""
    found: dict[tuple[Path, Path], bool] = {}
    for path in paths:
        root = next((root for root in roots if path.is_relative_to(root)), None)
        if root is None or any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if path == root or path.is_dir():
            found[root, path] = True
        elif path.name.lower().endswith(_TELLING):
            found.setdefault((root, path.parent), False)
        elif not path.exists():
            found[root, path] = True  # perhaps a folder that is gone
    return [Look(root, folder, below) for (root, folder), below in found.items()]
