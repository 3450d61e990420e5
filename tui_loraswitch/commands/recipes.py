"""`loraswitch recipes`: named stacks with their prompt, listed and shared as small files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.errors import EngineError
from engine.files.regular_file import read_regular
from engine.protocol.text import decimals
from engine.store.database import Database
from engine.store.recipes import (
    MAX_BYTES,
    RECIPES,
    Recipe,
    RecipeStore,
    read_recipe,
    recipe_text,
)
from engine.words.clean import clean_line
from tui_loraswitch.commands.outcome import OK, UsageError, say
from tui_loraswitch.commands.places import store_path

DESCRIPTION = """\
List the recipes that were saved in the app (key S), as lines of name, stack and
prompt with a tab between them. A recipe is shared as one small file: export
prints it, without the paths of this machine, and import keeps it. Whoever
applies it has the LoRAs found by the hash of their tensors, else by name.
"""

EXAMPLES = """\
examples:
  loraswitch recipes
  loraswitch recipes rain                     those with that word
  loraswitch recipes export "Rainy night" > rainy-night.json
  loraswitch recipes import rainy-night.json
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "words",
        metavar="WORDS",
        nargs="*",
        help="words to look for; export NAME and import FILE do what they say",
    )


def run(args: argparse.Namespace) -> int:
    """List, export or import."""
    with Database(store_path(), RECIPES) as database:
        if database.warning:
            say(database.warning)
        store = RecipeStore(database)
        match args.words:
            case ["export", name]:
                sys.stdout.write(recipe_text(_called(store, name)))
            case ["import", file]:
                recipe = read_recipe(read_regular(Path(file), MAX_BYTES))
                if any(known.name == recipe.name for known in store.all()):
                    raise EngineError(f"There is a recipe {recipe.name} already; it is kept.")
                store.save(recipe)
                print(f"kept: {recipe.name}")
            case words:
                for recipe in store.all():
                    if recipe.matches(" ".join(words)):
                        print("\t".join(_fields(recipe)))
    return OK


def _called(store: RecipeStore, name: str) -> Recipe:
    found = next((recipe for recipe in store.all() if recipe.name == name), None)
    if found is None:
        raise UsageError(f"There is no recipe “{clean_line(name)}”; loraswitch recipes lists them.")
    return found


def _fields(recipe: Recipe) -> tuple[str, str, str]:
    stack = " + ".join(f"{clean_line(m.name)} {decimals(m.unet)}" for m in recipe.members)
    return clean_line(recipe.name), stack, clean_line(recipe.prompt)
