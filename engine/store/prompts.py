"""The prompts that pictures were drawn with, to be found again."""

from __future__ import annotations

import time
from dataclasses import dataclass

from engine.store.database import Database
from engine.store.migrate import Subject

PROMPTS = Subject(
    "prompts",
    (
        """
        CREATE TABLE prompts (
            id INTEGER PRIMARY KEY,
            prompt TEXT NOT NULL,
            negative_prompt TEXT NOT NULL,
            used REAL NOT NULL,
            times INTEGER NOT NULL DEFAULT 1,
            UNIQUE (prompt, negative_prompt)
        );
        CREATE INDEX prompts_by_time ON prompts (used DESC);
        """,
    ),
)
MOST_PROMPTS = 5_000
"""Older ones are forgotten."""


@dataclass(frozen=True)
class StoredPrompt:
    """A prompt with its negative one, and how often it was drawn."""

    prompt: str
    negative_prompt: str
    times: int = 1


class PromptStore:
    """The table of prompts; the methods raise `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def use(self, prompt: str, negative_prompt: str, at: float | None = None) -> None:
        """Keep a prompt as the newest one; one without a word is not kept."""
        if not prompt.strip():
            return
        texts = [text.encode("utf-8", "replace").decode() for text in (prompt, negative_prompt)]
        with self._database.changing() as connection:
            connection.execute(
                "INSERT INTO prompts (prompt, negative_prompt, used) VALUES (?, ?, ?) "
                "ON CONFLICT (prompt, negative_prompt) DO UPDATE SET used = excluded.used, "
                "times = times + 1",
                (*texts, time.time() if at is None else at),
            )
            connection.execute(
                "DELETE FROM prompts WHERE id IN (SELECT id FROM prompts "
                f"ORDER BY used DESC, id DESC LIMIT -1 OFFSET {MOST_PROMPTS})"
            )

    def newest(self, count: int = MOST_PROMPTS) -> list[StoredPrompt]:
        """The last ones, newest first."""
        rows = self._database.rows(
            "SELECT prompt, negative_prompt, times FROM prompts "
            "ORDER BY used DESC, id DESC LIMIT ?",
            (count,),
        )
        return [StoredPrompt(*row) for row in rows]
