"""Find pictures in folders, whoever wrote them, and put what they say into the store."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import FileFormatError
from engine.generate.picture_said import PictureSaid, read_picture
from engine.protocol.making import encode_making
from engine.store.pictures import PictureStore, StoredPicture
from engine.words.lora_tags import tag_names

log = logging.getLogger(__name__)

ENDINGS = (b".png", b".jpg", b".jpeg", b".webp")
AT_ONCE = 200
"""Pictures that are put into the store together."""
MOST_DEPTH = 20


@dataclass
class ScanReport:
    """What a scan found."""

    found: int = 0
    read: int = 0
    gone: int = 0
    problems: int = 0
    """Files that cannot be read as pictures."""


def scan_pictures(
    store: PictureStore,
    folders: Iterable[Path],
    on_change: Callable[[ScanReport], object] = lambda report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ScanReport:
    """Bring the store up to what lies in the folders; only files that are new or changed are read.

    Pictures that were drawn elsewhere are looked for as well. Those of a root that is not there
    stay known: its drive may come back. `on_change` is called with what was found so far whenever
    the store has changed. Raises `StoreError`.
    """
    report = ScanReport()
    seen: set[Path] = set()
    roots = [folder for folder in folders if folder.is_dir()]
    for folder, files in _walk(roots):
        if should_stop():
            return report
        seen.add(folder)
        known = store.known(folder)
        report.found += len(files)
        fresh = [_path(raw) for raw, stamp in files.items() if known.get(raw) != stamp]
        for start in range(0, len(fresh), AT_ONCE):
            if should_stop():
                return report
            pictures = list(map(_read, fresh[start : start + AT_ONCE]))
            store.record(pictures)
            report.read += len(pictures)
            report.problems += sum(bool(picture.problem) for picture in pictures)
            on_change(report)
        _forget(store, map(_path, known.keys() - files.keys()), report, on_change)
    for folder in store.folders():
        if folder not in seen:
            below = any(folder.is_relative_to(root) for root in roots)
            _forget(store, _lost(store, folder, below), report, on_change)
    return report


def _lost(store: PictureStore, folder: Path, is_below_root: bool) -> list[Path]:
    """The pictures that are no longer in a folder which was not walked through."""
    known = list(map(_path, store.known(folder)))
    try:
        there = set(folder.iterdir())
    except OSError:
        # Without the folder above it a whole drive may be away.
        return known if is_below_root or folder.parent.is_dir() else []
    return [path for path in known if path not in there]


def _forget(
    store: PictureStore,
    paths: Iterable[Path],
    report: ScanReport,
    on_change: Callable[[ScanReport], object],
) -> None:
    # One that is recorded while the folder is read is known, and not seen in it.
    gone = [path for path in paths if not _is_there(path)]
    if gone:
        store.set_gone(gone)
        report.gone += len(gone)
        on_change(report)


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def _path(raw: bytes) -> Path:
    return Path(os.fsdecode(raw))


def _walk(roots: Iterable[Path]) -> Iterator[tuple[Path, dict[bytes, tuple[int, int]]]]:
    """Each folder once, links followed, with its pictures: time of change and size.

    As the system has their paths: to make others of them takes longer than to look at the files.
    """
    visited: set[tuple[int, int]] = set()
    waiting = [(root, 0) for root in roots]
    while waiting:
        folder, depth = waiting.pop()
        files: dict[bytes, tuple[int, int]] = {}
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(os.fsencode(folder)) as entries:
                for entry in entries:
                    if entry.name.startswith(b"."):
                        continue
                    try:
                        if entry.is_dir():
                            if depth < MOST_DEPTH:
                                waiting.append((_path(entry.path), depth + 1))
                        elif entry.name.lower().endswith(ENDINGS) and entry.is_file():
                            its = entry.stat()
                            files[entry.path] = its.st_mtime_ns, its.st_size
                    except OSError as error:
                        # It has gone meanwhile, or is a link in a circle; others are as good.
                        log.warning("%s: passed over: %s", _path(entry.path), error)
        except OSError as error:
            log.warning("%s: cannot be read: %s", folder, error)
            continue
        yield folder, files


def _read(path: Path) -> StoredPicture:
    """What one file says."""
    modified, size = 0, 0
    try:
        status = path.stat()
        modified, size = status.st_mtime_ns, status.st_size
        said = read_picture(path)
    except OSError as error:
        return StoredPicture(path, modified / 1e9, modified, size, 0, 0, problem=str(error))
    except FileFormatError as error:
        return StoredPicture(path, modified / 1e9, modified, size, 0, 0, problem=str(error))
    return stored_picture(path, said, modified, size)


def stored_picture(path: Path, said: PictureSaid, modified_ns: int, size: int) -> StoredPicture:
    """A picture for the store, by what its file says; it counts as drawn when it was written."""
    seed, prompt, model = None, "", ""
    loras: list[str] = []
    if (making := said.making) is not None:
        request = making.picture
        seed, prompt = request.seed, request.prompt
        model = next((file.name for file in making.files if file.key == "model"), "")
        members = (*making.stack, *request.own_loras)
        loras = [ref.name for ref in members]
    elif (info := said.info) is not None:
        seed, prompt, model = info.seed, info.drawable_prompt, info.model or ""
        loras = tag_names(prompt)
    return StoredPicture(
        path,
        modified_ns / 1e9,
        modified_ns,
        size,
        said.width,
        said.height,
        program=said.program,
        model=model,
        seed=seed,
        prompt=prompt,
        loras=tuple(dict.fromkeys(loras)),
        making=encode_making(making) if making is not None else "",
    )
