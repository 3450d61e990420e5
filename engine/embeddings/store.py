"""The textual inversions of the user's folders and of the live LoRAs, read when a prompt asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from engine.embeddings.bundled import BundledEmbedding
from engine.embeddings.file import read_inversion
from engine.embeddings.folders import named_files, names_in, second_file
from engine.embeddings.inversion import TextualInversion, require_widths
from engine.embeddings.vocabulary import Vocabulary
from engine.errors import EngineError
from engine.lora.file import FileStamp

_MOST_NAMED = 10
"""Unknown names in a prompt that have a warning each."""


@dataclass(frozen=True)
class _Source:
    """Where the inversion of a name comes from."""

    where: str
    read: Callable[[], TextualInversion]
    others: list[str] = field(default_factory=list)
    """Files of the same name that stand back."""


class EmbeddingStore:
    """Finds textual inversions by name, and keeps those it has read while their files last."""

    def __init__(self) -> None:
        self._read: dict[tuple[FileStamp, ...], TextualInversion] = {}

    def find(
        self,
        texts: Iterable[str],
        widths: tuple[int, int],
        folders: Sequence[Path] = (),
        bundled: Sequence[BundledEmbedding] = (),
    ) -> Vocabulary:
        """Read the inversions that prompts name, for text encoders of these widths.

        Those bundled with the live LoRAs go first, then the folders in order, with all below them.
        Names are file names without the ending, or paths below a folder. Nothing here stops a
        picture: what cannot be used is a warning, and its bare name an ordinary word.
        """
        warnings: list[str] = []
        sources = self._sources(folders, bundled, warnings)
        inversions: dict[str, TextualInversion] = {}
        named = list(dict.fromkeys(names_in(texts, sources)))
        for name in (name for name, is_known in named if is_known):
            source = sources[name]
            try:
                inversion = source.read()
                require_widths(inversion, Path(source.where).name, widths)
            except EngineError as error:
                warnings.append(str(error))
                continue
            inversions[name] = inversion
            if source.others and "/" not in name:
                warnings.append(
                    f"Several embeddings are called “{name}”: {source.where} is used, not "
                    f"{source.others[0]}. Write embedding:folder/{name} for one in a folder."
                )
        unknown = [name for name, is_known in named if not is_known]
        for name in unknown[:_MOST_NAMED]:
            warnings.append(f"There is no embedding “{name[:90]}”; the prompt goes without it.")
        if len(unknown) > _MOST_NAMED:
            warnings.append(f"Nor are there {len(unknown) - _MOST_NAMED:,} other ones it names.")
        return Vocabulary(inversions, tuple(warnings))

    def _sources(
        self, folders: Sequence[Path], bundled: Sequence[BundledEmbedding], warnings: list[str]
    ) -> dict[str, _Source]:
        """All there is, by name in lower case."""
        sources: dict[str, _Source] = {}
        for embedding in bundled:
            _enter(sources, embedding.name, _Source(embedding.lora, embedding.read))
        for name, path in named_files(folders, warnings):
            _enter(sources, name, _Source(str(path), partial(self._of_file, path)))
        return sources

    def _of_file(self, path: Path) -> TextualInversion:
        second = second_file(path)
        files = (path, second) if second is not None else (path,)
        stamps = tuple(map(FileStamp.of, files))
        if stamps not in self._read:
            # An older version of the file is of no use any more.
            self._read = {key: kept for key, kept in self._read.items() if key[0].path != path}
            self._read[stamps] = read_inversion(path)
        return self._read[stamps]


def _enter(sources: dict[str, _Source], name: str, source: _Source) -> None:
    first = sources.setdefault(name.lower(), source)
    if first.where != source.where:
        first.others.append(source.where)
