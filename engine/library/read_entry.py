"""One library entry from one file: its header and what lies beside it."""

from __future__ import annotations

import logging

from engine.errors import FileFormatError
from engine.files.header import Header, read_header
from engine.library.description import merge
from engine.library.entry import LibraryEntry
from engine.library.metadata import describe_metadata, shown_metadata
from engine.library.sidecars import read_sidecars
from engine.library.walk import FoundFile
from engine.lora.base_model import SDXL_SHAPED, Base, family_called, variant_called
from engine.lora.identify import Identity, identify, read_scalar, why_no_lora
from engine.words.clean import clean_line

log = logging.getLogger(__name__)


def read_entry(found: FoundFile) -> LibraryEntry:
    """Read a file's header and sidecars; a file that cannot be used gets an entry with `error`."""
    try:
        header = read_header(found.path)
        identity = identify(header)
        alpha = read_scalar(found.path, identity.alpha) if identity.alpha else None
        return _described(found, header, identity, alpha)
    except FileFormatError as error:
        return _entry(found, error=clean_line(str(error)))
    # A fault of this program that one odd file brings out: the thousands beside it are none.
    except Exception:
        log.exception("%s: cannot be read", found.path)
        reason = f"{found.path.name}: reading it failed; the log file has the details."
        return _entry(found, error=clean_line(reason))


def _described(
    found: FoundFile, header: Header, identity: Identity, alpha: float | None
) -> LibraryEntry:
    said = merge((*read_sidecars(found.sidecars), describe_metadata(header.metadata)))
    base = _base(identity, said.base_model)
    problem = "" if identity.modules else why_no_lora(header, identity)
    return _entry(
        found,
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
        metadata=shown_metadata(header.metadata),
        problems=said.problems,
        error=clean_line(f"{found.path.name}: {problem}") if problem else "",
    )


def _entry(found: FoundFile, **values: object) -> LibraryEntry:
    return LibraryEntry(
        found.path,
        found.root,
        found.size,
        found.mtime_ns,
        found.inode,
        previews=found.previews,
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
