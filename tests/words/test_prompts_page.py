"""Every example of docs/prompts.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.words.lora_tags import split_tags
from engine.words.plain_number import plain_number
from engine.words.prompt_language.chance import resolve_chance
from engine.words.prompt_language.editing import texts_over_steps
from engine.words.prompt_language.regions import read_regions

PAGE = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text()


def _examples(kind: str) -> list[tuple[str, str]]:
    (block,) = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [tuple(line.split(" → ")) for line in block.splitlines()]


@pytest.mark.parametrize(("prompt", "shown"), _examples("over 10 steps"))
def test_text_over_the_steps(prompt: str, shown: str) -> None:
    texts, notes = texts_over_steps(prompt, 10)
    assert " · ".join(f"{last} {text}" for last, text in texts) == shown
    assert notes == ()


@pytest.mark.parametrize(("prompt", "shown"), _examples("strengths"))
def test_strengths_over_five_steps(prompt: str, shown: str) -> None:
    (tag,) = split_tags(prompt)[1]
    assert " ".join(plain_number(unet) for unet, _ in tag.strengths(5)) == shown


@pytest.mark.parametrize(("prompt", "shown"), _examples("regions"))
def test_regions(prompt: str, shown: str) -> None:
    read = read_regions(prompt)
    found = (f"{' '.join(map(plain_number, one.box))} {one.text}" for one in read.regions)
    assert " · ".join(found) == shown


@pytest.mark.parametrize(("prompt", "shown"), _examples("chance"))
def test_chance(prompt: str, shown: str) -> None:
    found = {resolve_chance(prompt, seed, lambda _: ())[0] for seed in range(100)}
    assert found == set(shown.split(" | "))
