"""What runs beside the screen: the engine, the library scan, the monitor.

Each starts on a daemon thread, since importing torch or listing a slow disk must neither hold the
first frame nor the end of the program.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import structs
from textual.message import Message

from engine.demo import DEMO_LORAS
from engine.errors import EngineError
from engine.files.hidden_files import sweep
from engine.files.saving import in_words
from engine.host.runtime import OlderHostError
from engine.monitor.reading import Reading
from engine.protocol.events import ModelInfo
from tui_loraswitch.app.aside_folders import AsideFolders
from tui_loraswitch.app.engine_link import EngineLink
from tui_loraswitch.config.config import ConfigError, remember
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.config.ui_state import UiState, save_state
from tui_loraswitch.panes.messages import (
    DiskLookedAt,
    EngineLost,
    LibraryChanged,
    LibraryFound,
    ModelsFound,
    ProblemNoticed,
    ReadingTaken,
    ScanProgressed,
)

if TYPE_CHECKING:
    from engine.library.index import LibraryIndex
    from engine.library.own_words import OwnWords
    from engine.library.search import SearchIndex
    from engine.library.service import LibraryService
    from engine.store.recipes import RecipeStore
    from tui_loraswitch.control.model_files import ModelFile

log = logging.getLogger(__name__)

READING_SECONDS = 1.0
_LIST_SECONDS = 0.3
"""How long all else waits for the list; another process may hold its index."""
PARTIAL_MODELS_SECONDS = 0.3
"""How often the list of models is filled while they are looked for: each may be on a slow disk."""


class _Sampler(Protocol):
    def watch(self, gpu_uuid: str | None) -> None: ...

    def watch_process(self, pid: int) -> None: ...

    def stop(self, timeout: float = ...) -> None: ...


class Services:
    """Starts and stops them; what they find reaches the app through `post`, from any thread."""

    def __init__(
        self,
        settings: AppSettings,
        post: Callable[[Message], object],
        link: EngineLink,
    ) -> None:
        self._settings = settings
        self._post_message = post
        self.link = link
        self._sampler: _Sampler | None = None
        self._gpu_uuid: str | None = None
        self._pid = os.getpid()
        self._roots = settings.loras
        self._library: LibraryService | None = None
        self.recipes: RecipeStore | None = None
        """None until the store is open, and where it cannot be."""
        self.aside = AsideFolders(self.on_problem)
        self._connecting = threading.Lock()
        self._saving = threading.Lock()
        self._kept: dict[Path, UiState] = {}
        """States of the screen that are still to be written, by their files."""
        self._keeper: threading.Thread | None = None
        self._remembering = threading.Lock()
        self._stopping = threading.Event()
        self._index: LibraryIndex | None = None
        self._listed = threading.Event()
        """Set when the list of what is known is on its way to the screen."""

    def start(self) -> None:
        """Begin everything, without waiting for anything."""
        self._thread(self._follow_library).start()
        self._thread(self._start_others).start()

    def start_engine(self) -> None:
        """Have the link find an engine, or start one."""
        if not self._connecting.locked():
            self._thread(self._start_engine).start()

    def replace_host(self) -> None:
        """End an older host that has nothing to draw, and start one of this version."""
        self._thread(self._replace_host).start()

    def watch_process(self, pid: int | None) -> None:
        """Read the memory of the process that holds the model; None is this one."""
        self._pid = pid or os.getpid()
        if self._sampler is not None:
            self._sampler.watch_process(self._pid)

    def watch(self, gpu_uuid: str | None) -> None:
        """Read the GPU the model is on, now or as soon as the monitor has started."""
        self._gpu_uuid = gpu_uuid
        if self._sampler is not None:
            self._sampler.watch(gpu_uuid)

    def follow_model(self, model: ModelInfo) -> None:
        """Watch its GPU; open it the next time too, or show the demo's LoRAs."""
        self.watch(model.gpu_uuid)
        self._thread(self._prepare_drawing).start()
        if not model.is_demo:
            self.remember("model", model.path)
        elif DEMO_LORAS not in self._roots:
            self._roots = (*self._roots, DEMO_LORAS)
            self._show_roots()

    def _prepare_drawing(self) -> None:
        # Else the first picture waits for it: what is asked for, and what is said below it.
        import_module("tui_loraswitch.control.asking")
        import_module("tui_loraswitch.control.caption")

    def keep(self, path: Path, state: UiState) -> None:
        """Write the state of the screen; a slow disk keeps nobody waiting."""
        self._kept[path] = state
        self._keeper = self._thread(self._save_states)
        self._keeper.start()

    def remember(self, option: str, value: object) -> None:
        """Keep an option, named as in the config file, for the next start."""
        self._thread(lambda: self._remember(option, value)).start()

    def rescan(self) -> bool:
        """Read the library's folders again; False while they are being read."""
        return self._library is not None and self._library.rescan()

    def look_at_disk(self, then: Callable[[], object]) -> None:
        """Look for files that are new in the library, and go on with `then` in the app."""
        if self._library is not None:
            self._library.look(lambda: self._post(DiskLookedAt(then)))

    def add_folders(self, loras: tuple[Path, ...], models: tuple[Path, ...]) -> None:
        """Show the LoRAs of more folders, and offer the models of more."""
        self._settings = structs.replace(self._settings, models=(*self._settings.models, *models))
        new = tuple(folder for folder in loras if folder not in self._roots)
        if new:
            self._roots = (*(root for root in self._roots if root != DEMO_LORAS), *new)
            self._show_roots()

    def _show_roots(self) -> None:
        if self._library is not None:
            self._library.have_roots(self._roots)

    def find_models(
        self,
        beside: Path | None,
        post: Callable[[Message], object],
        closed: threading.Event,
    ) -> None:
        """Look for models in the settings' folders and beside `beside`, until `closed`."""
        self._thread(lambda: self._find_models(beside, post, closed)).start()

    def stop(self, timeout: float) -> bool:
        """End everything but a host; True when that was done within `timeout` seconds."""
        self._stopping.set()
        if self._library is not None:
            self._library.stop()
            self.aside.empty(owned=True)
        if self._keeper is not None:
            self._keeper.join(timeout)
        if self._sampler is not None:
            self._sampler.stop(timeout=0.1)
        return self.link.leave(timeout)

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            # One service less is no reason to end: the app says so and goes on.
            try:
                work()
            except Exception as error:
                log.exception("a service failed")
                words = f"Unexpected fault: {type(error).__name__}: {error}"
                self._post(ProblemNoticed(f"{words}; the log file has the details."))

        return threading.Thread(target=run, name=work.__name__.strip("_"), daemon=True)

    def _start_others(self) -> None:
        # To start a process and to import what reads the gauges would hold the list up.
        self._listed.wait(_LIST_SECONDS)
        self.start_engine()
        self._thread(self._start_monitor).start()
        self._sweep()

    def _start_engine(self) -> None:
        try:
            with self._connecting:
                self._connect()
        except EngineError as error:
            log.warning("no engine: %s", error)
            self._post(EngineLost(str(error), starts_again=False))

    def _connect(self) -> None:
        try:
            self.link.connect()
        except OlderHostError:
            from tui_loraswitch.app.older_host import watch_queue

            assert self.link.place is not None, "only a host can be older"
            if not watch_queue(self.link.place, self._post, self._stopping.wait):
                self.link.connect()

    def _replace_host(self) -> None:
        from tui_loraswitch.app.older_host import stop_if_empty

        try:
            assert self.link.place is not None, "only a host can be older"
            stop_if_empty(self.link.place)
        except EngineError as error:
            self._post(EngineLost(str(error), starts_again=False))
        else:
            self._start_engine()

    def _start_monitor(self) -> None:
        from engine.monitor.sampler import Sampler

        def on_reading(reading: Reading) -> None:
            self._post(ReadingTaken(reading))

        sampler = Sampler(READING_SECONDS, on_reading)
        self._sampler = sampler
        # In this order, a model that is loaded meanwhile on another thread is not missed.
        sampler.watch(self._gpu_uuid)
        sampler.watch_process(self._pid)
        if not self._stopping.is_set():
            sampler.start()

    def _find_models(
        self,
        beside: Path | None,
        post: Callable[[Message], object],
        closed: threading.Event,
    ) -> None:
        from tui_loraswitch.control.model_files import find_models

        found: list[ModelFile] = []
        last_partial = time.monotonic()

        def on_found(model: ModelFile) -> None:
            nonlocal last_partial
            found.append(model)
            if time.monotonic() - last_partial > PARTIAL_MODELS_SECONDS:
                last_partial = time.monotonic()
                self._post(ModelsFound(tuple(found), (), is_complete=False), post)

        def is_cancelled() -> bool:
            return closed.is_set() or self._stopping.is_set()

        problems = find_models(
            self._settings.models, beside, on_found, is_cancelled, self._settings.parts_from
        )
        if not is_cancelled():
            self._post(ModelsFound(tuple(found), tuple(problems), is_complete=True), post)

    def _remember(self, option: str, value: object) -> None:
        if (path := self._settings.config_path) is not None:
            try:
                with self._remembering:
                    remember(path, {option: value})
            except (OSError, ValueError, ConfigError) as error:
                choice = option.replace("_", " ")
                words = f"The choice of {choice} cannot be remembered in {path}: {in_words(error)}."
                self._post(ProblemNoticed(words))

    def _save_states(self) -> None:
        # Whoever comes last writes what was kept last.
        with self._saving:
            while self._kept:
                path, state = self._kept.popitem()
                try:
                    save_state(path, state)
                except OSError as error:
                    words = f"{path} cannot be written: {in_words(error)}."
                    log.warning(words)
                    self._post(ProblemNoticed(words))

    def _sweep(self) -> None:
        settings = self._settings
        paths = (settings.config_path, settings.state_path)
        for folder in {settings.output, *(path.parent for path in paths if path is not None)}:
            sweep(folder)

    def _follow_library(self) -> None:
        from engine.library.index import LibraryIndex

        with LibraryIndex(self._settings.index_path) as index:
            self._index = index
            known = self._show_known(index)
            # What follows files takes longer to import than what shows them.
            from engine.library.service import LibraryService

            library = LibraryService(
                index,
                self._roots,
                self,
                self._own_words,
                known,
                writes_sidecars=self._settings.writes_sidecars,
            )
            self._library = library
            if self._stopping.is_set():
                return
            library.run()

    def _show_known(self, index: LibraryIndex) -> tuple[tuple[Path, ...], SearchIndex]:
        """Show what is known of the library folders; gives them and it."""
        from engine.library.search import SearchIndex

        roots = self._roots
        try:
            known = SearchIndex(*index.listed(roots), index.entry)
            if len(known):
                self.on_library(known, is_complete=False)
        finally:
            self._listed.set()
        known.prepare()
        return roots, known

    def _own_words(self) -> OwnWords | None:
        """The user's own words about LoRAs; None, and a word of why, where they cannot be kept."""
        from engine.library.hash_table import HashTable
        from engine.library.own_words import OwnWords
        from engine.store.aside import ASIDE, AsideStore
        from engine.store.database import Database
        from engine.store.loras import LORAS, LoraStore
        from engine.store.recipes import RECIPES, RecipeStore

        try:
            database = Database(self._settings.store_path, LORAS, RECIPES, ASIDE)
        except EngineError as error:
            self._post(ProblemNoticed(str(error)))
            return None
        if database.warning:
            self._post(ProblemNoticed(database.warning))
        self.recipes = RecipeStore(database)
        self.aside.store = AsideStore(database)
        self.aside.empty(owned=False)
        return OwnWords(LoraStore(database), HashTable(self._settings.index_path))

    @property
    def library(self) -> LibraryService | None:
        """The library as it is followed; None until it is."""
        return self._library

    def on_library(self, index: SearchIndex, is_complete: bool) -> None:
        """The list is like this now."""
        from engine.library.indexed_names import IndexedNames

        assert self._index is not None, "it is where the list comes from"
        roots = self._library.roots if self._library is not None else self._roots
        # Looking through 10,000 rows for garbage, again and again, holds a key for 0.2 s.
        gc.freeze()
        names = IndexedNames(self._index, roots)
        self._post(LibraryFound(index, is_complete, names))

    def on_progress(self, done: int, total: int) -> None:
        """A scan has come so far."""
        self._post(ScanProgressed(done, total))

    def on_problem(self, words: str) -> None:
        """A folder is not there, or the index cannot be kept."""
        self._post(ProblemNoticed(words))

    def on_news(self, words: str, was_asked: bool) -> None:
        """Files are new, changed or gone."""
        self._post(LibraryChanged(words, was_asked))

    def _post(self, message: Message, post: Callable[[Message], object] | None = None) -> None:
        if not self._stopping.is_set():
            # The app may close between the question and the call; nobody listens then.
            with suppress(RuntimeError):
                (post or self._post_message)(message)
