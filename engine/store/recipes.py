"""Recipes: stacks of LoRAs with a name, their strengths, block weights and a prompt."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.block_weights import format_block_weights, parse_block_weights
from engine.errors import EngineError, FileFormatError
from engine.files.json_text import parse_json
from engine.protocol.refs import LoraRef
from engine.store.database import Database
from engine.store.migrate import Subject
from engine.words.clean import clean_line

RECIPES = Subject(
    "recipes",
    ("CREATE TABLE recipes (name TEXT PRIMARY KEY, made REAL NOT NULL, body TEXT NOT NULL);",),
)
MAX_BYTES = 1_000_000
"""Of a recipe's file."""
_FORM = "loraswitch recipe"
_MAX_MEMBERS = 100


@dataclass(frozen=True)
class Member:
    """A LoRA of a recipe: known by the hash of its tensors, else by its name."""

    name: str
    """Below its library folder, without its ending."""
    path: str = ""
    """Where it lay when the recipe was made; empty in a recipe of somebody else."""
    tensors_sha256: str = ""
    unet: float = 1.0
    text_encoder: float = 1.0
    text_encoder_2: float | None = None
    blocks: str = ""
    """Block weights as in a tag."""

    def ref(self, path: Path) -> LoraRef:
        """The member of a stack, with the file that was found for it."""
        blocks = parse_block_weights(self.blocks) if self.blocks else ()
        return LoraRef(path, self.unet, self.text_encoder, self.text_encoder_2, blocks)

    @classmethod
    def of(cls, ref: LoraRef, name: str, tensors_sha256: str) -> Member:
        """What a recipe says of a member of a stack."""
        return cls(
            name,
            str(ref.path),
            tensors_sha256,
            ref.unet,
            ref.text_encoder,
            ref.text_encoder_2,
            format_block_weights(ref.blocks),
        )


@dataclass(frozen=True)
class Recipe:
    """A named stack with the words that go with it."""

    name: str
    members: tuple[Member, ...]
    prompt: str = ""
    negative_prompt: str = ""
    made: float = 0.0
    """Seconds since 1970."""

    def resolve(self, find: Callable[[Member], Path | None]) -> tuple[LoraRef, ...]:
        """The stack; raises `EngineError` that names all members whose files are not found."""
        found = [(member, find(member)) for member in self.members]
        missing = [member.name for member, path in found if path is None]
        if missing:
            raise EngineError(
                f"The recipe {self.name} needs LoRAs that are not in the library: "
                f"{', '.join(map(clean_line, missing))}."
            )
        return tuple(member.ref(path) for member, path in found if path is not None)

    def matches(self, words: str) -> bool:
        """Whether all words occur in its name, its prompt or its members' names."""
        text = " ".join((self.name, self.prompt, *(member.name for member in self.members)))
        return all(word in text.casefold() for word in words.casefold().split())


class RecipeStore:
    """The recipes of the store, by name. Raises `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Recipe]:
        """All recipes, the newest first."""
        rows = self._database.rows("SELECT name, made, body FROM recipes ORDER BY made DESC")
        return [_recipe(name, json.loads(body), made) for name, made, body in rows]

    def save(self, recipe: Recipe) -> None:
        """Keep a recipe, in place of another of its name."""
        values = (recipe.name, recipe.made or time.time(), json.dumps(_body(recipe, own=True)))
        self._database.change("REPLACE INTO recipes VALUES (?, ?, ?)", values)

    def delete(self, name: str) -> None:
        """Drop a recipe."""
        self._database.change("DELETE FROM recipes WHERE name = ?", (name,))


def recipe_text(recipe: Recipe) -> str:
    """A recipe as one small file for others: JSON, without the paths of this machine."""
    table = {"form": _FORM, "version": 1, "name": recipe.name, **_body(recipe, own=False)}
    return json.dumps(table, indent=2, ensure_ascii=False) + "\n"


def read_recipe(text: bytes) -> Recipe:
    """Read what `recipe_text` wrote; nothing in it is trusted. Raises `FileFormatError`."""
    try:
        table = parse_json(text)
        if not isinstance(table, dict) or table.get("form") != _FORM:
            raise ValueError("it has no form that is known")
        if not isinstance(table["name"], str) or not isinstance(table["loras"], list):
            raise ValueError("it has no name or no list of LoRAs")
        name = clean_line(table["name"], 200)
        recipe = _recipe(name, table, 0.0)
        if not (name and recipe.members):
            raise ValueError("it has no name or no LoRAs")
        for member in recipe.members:
            member.ref(Path("x"))
    except (ValueError, KeyError, EngineError) as error:
        raise FileFormatError(f"This is no recipe of loraswitch ({error}).") from error
    return recipe


def _body(recipe: Recipe, own: bool) -> dict[str, Any]:
    return {
        "prompt": recipe.prompt,
        "negative_prompt": recipe.negative_prompt,
        "loras": [_member_table(member, own) for member in recipe.members],
    }


def _member_table(member: Member, own: bool) -> dict[str, Any]:
    table: dict[str, Any] = {"name": member.name}
    if own:
        table["path"] = member.path.encode(errors="backslashreplace").decode()
    for name in ("tensors_sha256", "unet", "text_encoder", "text_encoder_2", "blocks"):
        if (value := getattr(member, name)) not in ("", None):
            table[name] = value
    return table


def _recipe(name: str, table: Mapping[str, Any], made: float) -> Recipe:
    members = tuple(map(_member, table["loras"][:_MAX_MEMBERS]))
    prompt, negative = (str(table.get(key, ""))[:20_000] for key in ("prompt", "negative_prompt"))
    return Recipe(name, members, prompt, negative, made)


def _member(table: Mapping[str, Any]) -> Member:
    if not isinstance(table, Mapping):
        raise ValueError(f"{table!r} is no LoRA")
    second = table.get("text_encoder_2")
    return Member(
        clean_line(str(table["name"]), 500),
        str(table.get("path", "")),
        str(table.get("tensors_sha256", "")),
        _number(table.get("unet", 1.0)),
        _number(table.get("text_encoder", 1.0)),
        None if second is None else _number(second),
        str(table.get("blocks", "")),
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no strength")
    return float(value)
