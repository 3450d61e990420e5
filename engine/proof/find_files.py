"""Find the files behind a picture again: by their content, wherever they lie now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import EngineError
from engine.proof.contents import FileContents
from engine.protocol.certificate import Certificate
from engine.protocol.making import Making
from engine.protocol.refs import LoraRef

Stack = tuple[LoraRef, ...]


@dataclass(frozen=True)
class FoundLora:
    """What became of a LoRA of a picture."""

    was: Path
    content: str
    """As the certificate has it."""
    now: Path | None
    """The file that is it; or, with another content, one of its name; None: there is neither."""
    other_content: str = ""
    """Of the file of its name, where that is another one."""

    @property
    def problem(self) -> str:
        """What differs, in a sentence; empty where it is the same file."""
        if self.now is None:
            return (
                f"{self.was.name} is neither where it was nor in the library "
                f"(content {self.content[:12]})."
            )
        if self.other_content:
            return (
                f"{self.now}: this is another file than the picture was drawn with (content "
                f"{self.other_content[:12]}, it was {self.content[:12]})."
            )
        return ""


def find_loras(
    certificate: Certificate,
    library: Sequence[Path],
    contents: FileContents,
    on_hashing: Callable[[Path], object] = lambda path: None,
) -> tuple[FoundLora, ...]:
    """Find each LoRA: where it was, by its name in the library, then by the contents of all files.

    What was hashed before is not read again.
    """
    return tuple(
        _find(Path(was), content, library, contents, on_hashing)
        for was, content in certificate.contents
    )


def _find(
    was: Path,
    content: str,
    library: Sequence[Path],
    contents: FileContents,
    on_hashing: Callable[[Path], object],
) -> FoundLora:
    first_other: tuple[Path, str] | None = None
    for path, found in _hashed(_likely_first(was, library), contents, on_hashing):
        if found == content:
            return FoundLora(was, content, path)
        if first_other is None and path.name == was.name:
            first_other = path, found
    if first_other is not None:
        return FoundLora(was, content, *first_other)
    return FoundLora(was, content, None)


def _likely_first(was: Path, library: Iterable[Path]) -> list[Path]:
    by_name = sorted(library, key=lambda path: path.name != was.name)
    return list(dict.fromkeys((was, *by_name)))


def _hashed(
    paths: Iterable[Path], contents: FileContents, on_hashing: Callable[[Path], object]
) -> Iterator[tuple[Path, str]]:
    for path in paths:
        on_hashing(path)
        try:
            yield path, contents.lora(path)
        except EngineError:
            # Gone or broken: it is not the one.
            continue


def with_found(making: Making, found: Iterable[FoundLora]) -> Making:
    """The same drawing with the files as they lie now; what is not found stays as it was."""
    places = {lora.was: lora.now for lora in found if lora.now is not None}

    def moved(stack: Stack) -> Stack:
        return tuple(replace(ref, path=places.get(ref.path, ref.path)) for ref in stack)

    request, hires = making.request, making.request.hires
    if hires is not None:
        hires = replace(
            hires,
            stack=None if hires.stack is None else moved(hires.stack),
            region_stacks=tuple(map(moved, hires.region_stacks)),
        )
    own = tuple(map(moved, request.region_stacks))
    request = replace(request, region_stacks=own, hires=hires)
    return replace(making, request=request, stack=moved(making.stack))
