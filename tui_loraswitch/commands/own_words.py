"""The user's own words about LoRAs, for commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.errors import StoreError
from engine.library.hash_table import HashTable
from engine.library.own import Own
from engine.library.own_words import OwnWords
from engine.store.database import Database
from engine.store.loras import LORAS, LoraStore
from tui_loraswitch.commands.outcome import say
from tui_loraswitch.commands.places import store_path
from tui_loraswitch.config.settings import AppSettings


def open_own_words(settings: AppSettings) -> OwnWords:
    """The words of the user's store; raises `StoreError` where it cannot be opened."""
    database = Database(store_path(), LORAS)
    if database.warning:
        say(database.warning)
    return OwnWords(LoraStore(database), HashTable(settings.index_path))


def own_overlay(settings: AppSettings, folders: Iterable[Path]) -> Mapping[int, Own]:
    """What the user says of the files of some library folders; without a store nothing, and why."""
    try:
        return open_own_words(settings).overlay(folder.absolute() for folder in folders)
    except StoreError as error:
        say(f"Your own words about LoRAs are left out: {error}")
        return {}
