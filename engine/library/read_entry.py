"""One library entry from one file: its header and what lies beside it."""

from __future__ import annotations

import logging
import os

from engine.errors import FileFormatError
from engine.files.header import raw_header, read_header
from engine.files.regular_file import regular_descriptor, unreadable
from engine.library.description import merge
from engine.library.entry import LibraryEntry
from engine.library.metadata import describe_metadata, shown_metadata
from engine.library.outlines import Outlines, ReadHeader
from engine.library.sidecars import read_sidecars
from engine.library.walk import FoundFile
from engine.lora.base_model import SDXL_SHAPED, Base, family_called, variant_called
from engine.lora.identify import Identity, identity_of, scalar_at, why_no_lora
from engine.words.clean import clean_line

log = logging.getLogger(__name__)


def read_entry(
    found: FoundFile, outlines: Outlines | None = None, added_ns: int = 0
) -> LibraryEntry:
    """Read a file's header and sidecars; a file that cannot be used gets an entry with `error`.

    `outlines` may be shared by the files of a scan; `added_ns` is when the library saw it first.
    """
    try:
        try:
            descriptor = regular_descriptor(found.path)
            try:
                read = (outlines or Outlines()).read(raw_header(found.path, descriptor))
                at = read.outline.alpha
                alpha = scalar_at(descriptor, at, read.moved) if at is not None else None
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unreadable(found.path, error) from error
        return _described(found, read, alpha, added_ns)
    except FileFormatError as error:
        return _entry(found, added_ns, error=clean_line(str(error)))
    # A fault of this program that one odd file brings out: the thousands beside it are none.
    except Exception:
        log.exception("%s: cannot be read", found.path)
        reason = f"{found.path.name}: reading it failed; the log file has the details."
        return _entry(found, added_ns, error=clean_line(reason))


def _described(
    found: FoundFile, read: ReadHeader, alpha: float | None, added_ns: int
) -> LibraryEntry:
    identity = identity_of(read.outline, read.metadata)
    said = merge((*read_sidecars(found.sidecars), describe_metadata(read.metadata)))
    base = _base(identity, said.base_model)
    problem = "" if identity.modules else why_no_lora(read_header(found.path), identity)
    return _entry(
        found,
        added_ns,
        family=identity.family,
        rank=identity.rank,
        alpha=alpha,
        base_model=base.name,
        base_evidence=base.evidence,
        base_variant=base.variant,
        modules=identity.modules,
        parts=identity.parts,
        title=said.title,
        description=said.description,
        author=said.author,
        licence=said.licence,
        trigger_words=said.trigger_words,
        tags=said.tags,
        preferred_strength=said.preferred_strength,
        negative_text=said.negative_text,
        notes=said.notes,
        sources=said.sources,
        favourite=said.favourite,
        metadata=shown_metadata(read.metadata),
        problems=(*_of_header(found, read.left_out), *said.problems),
        error=clean_line(f"{found.path.name}: {problem}") if problem else "",
    )


def _of_header(found: FoundFile, left_out: str) -> tuple[str, ...]:
    return (clean_line(f"{found.path.name}: {left_out}."),) if left_out else ()


def _entry(found: FoundFile, added_ns: int, **values: object) -> LibraryEntry:
    return LibraryEntry(
        found.path,
        found.root,
        found.size,
        found.mtime_ns,
        found.inode,
        previews=found.previews,
        added_ns=added_ns,
        **values,  # type: ignore[arg-type]
    )


def _base(identity: Identity, words: str) -> Base:
    """The base model by the file itself, else by the words of a file beside it.

    They also choose where the file leaves several, and tell apart what only words can.
    """
    base = Base(identity.base_model, clean_line(identity.evidence), identity.base_variant)
    family, said = family_called(words), f"a file beside it says {words}"
    if (
        (not base.name and words)
        or (" or " in base.name and family and family in base.name)
        or (base.name == "SDXL" and family in SDXL_SHAPED)
    ):
        base = Base(family, said)
    if base.name != "SDXL":
        return base._replace(variant="")
    return base._replace(variant=variant_called(words) or base.variant)
