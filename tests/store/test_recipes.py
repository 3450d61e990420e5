"""Recipes: stacks with a name, kept, searched, resolved, and shared as one small file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError, FileFormatError
from engine.protocol.refs import LoraRef
from engine.store.database import Database
from engine.store.recipes import RECIPES, Member, Recipe, RecipeStore, read_recipe, recipe_text

REF = LoraRef("/loras/styles/neon.safetensors", 0.8, 0.5, 0.25, (("IN04", 0.5), ("MID", 0.0)))
RECIPE = Recipe(
    "Rainy night",
    (Member.of(REF, "styles/neon", "ab" * 32), Member("ink", unet=0.4, text_encoder=0.4)),
    "a fox in the rain",
    "blurry",
)


def test_recipes_are_kept_the_newest_first_and_replaced_by_name(tmp_path: Path) -> None:
    with Database(tmp_path / "a.db", RECIPES) as database:
        store = RecipeStore(database)
        store.save(replace(RECIPE, made=1.0))
        store.save(Recipe("Another", (Member("ink"),), made=2.0))
        store.save(replace(RECIPE, prompt="a fox", made=3.0))
    with Database(tmp_path / "a.db", RECIPES) as database:
        newest, older = RecipeStore(database).all()
        assert newest == replace(RECIPE, prompt="a fox", made=3.0)
        assert older.name == "Another"
        RecipeStore(database).delete("Rainy night")
        assert [recipe.name for recipe in RecipeStore(database).all()] == ["Another"]


def test_a_recipe_becomes_the_stack_that_it_was_made_of() -> None:
    paths = {"styles/neon": REF.path, "ink": Path("/loras/ink.safetensors")}
    stack = RECIPE.resolve(lambda member: paths[member.name])
    assert stack == (REF, LoraRef(paths["ink"], 0.4, 0.4))
    with pytest.raises(EngineError, match="not in the library: styles/neon, ink"):
        RECIPE.resolve(lambda member: None)


@pytest.mark.parametrize(
    ("words", "found"), [("", True), ("NIGHT fox", True), ("neon ink", True), ("neon sun", False)]
)
def test_words_are_looked_for_in_name_prompt_and_members(words: str, found: bool) -> None:
    assert RECIPE.matches(words) is found


def test_a_shared_recipe_says_all_but_where_files_lie_here() -> None:
    text = recipe_text(RECIPE)
    assert "/loras" not in text
    shared = read_recipe(text.encode())
    assert shared == replace(RECIPE, members=tuple(replace(m, path="") for m in RECIPE.members))


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b'{"form": "loraswitch recipe"}',
     b'{"form": "loraswitch recipe", "name": "x", "loras": []}',
     b'{"form": "loraswitch recipe", "name": "x", "loras": [{"name": "a", "unet": "1"}]}',
     b'{"form": "loraswitch recipe", "name": "x", "loras": [{"name": "a", "unet": 1e999}]}',
     b'{"form": "loraswitch recipe", "name": "x", "loras": [{"name": "a", "blocks": "nope"}]}',
     b'{"form": "loraswitch recipe", "name": "x", "loras": 5}'],
)  # fmt: skip
def test_what_is_no_recipe_is_refused(text: bytes) -> None:
    with pytest.raises(FileFormatError, match="no recipe"):
        read_recipe(text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["name", "loras", "unet", "blocks", "path"]),
                                      inner, max_size=4), max_leaves=12))  # fmt: skip
def test_any_json_is_a_recipe_or_refused(value: object) -> None:
    import json

    table = {"form": "loraswitch recipe", **value} if isinstance(value, dict) else value
    try:
        recipe = read_recipe(json.dumps(table).encode())
    except FileFormatError:
        return
    assert recipe.name
    assert recipe.members
