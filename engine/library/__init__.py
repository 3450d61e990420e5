"""The LoRA library: scan, index, metadata and sidecars, previews, hashes, search."""

from engine.files.hashes import FileHashes, claimed_tensors_hash, hash_file
from engine.library.entry import LibraryEntry, TriggerWords
from engine.library.index import LibraryIndex
from engine.library.previews import embedded_previews, find_previews
from engine.library.scan import ScanProgress, scan_folders
from engine.library.search import Query, SearchIndex, SortOrder, filter_entries, sort_entries

__all__ = [
    "FileHashes",
    "LibraryEntry",
    "LibraryIndex",
    "Query",
    "ScanProgress",
    "SearchIndex",
    "SortOrder",
    "TriggerWords",
    "claimed_tensors_hash",
    "embedded_previews",
    "filter_entries",
    "find_previews",
    "hash_file",
    "scan_folders",
    "sort_entries",
]
