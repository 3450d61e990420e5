"""The files other programs write beside a LoRA, and how their words are joined."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.library.description import Description, merge
from engine.library.entry import TriggerWords
from engine.library.sidecars import SIDECAR_ENDINGS, read_sidecars


def read(tmp_path: Path, ending: str, content: object) -> Description:
    path = tmp_path / f"x{ending}"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    said = merge(read_sidecars([(ending, path)]))
    assert len({who for _, who in said.sources}) <= 1
    return replace(said, sources=())


def test_a1111(tmp_path: Path) -> None:
    said = read(
        tmp_path,
        ".json",
        {
            "description": "By <b>me</b>",
            "sd version": "SDXL",
            "activation text": "neon glow, night",
            "preferred weight": 0.7,
            "negative text": "day",
            "notes": "line\nline",
        },
    )
    assert said == Description(
        description="By me",
        base_model="SDXL",
        trigger_words=(TriggerWords("A1111", ("neon glow, night",)),),
        preferred_strength=0.7,
        negative_text="day",
        notes="line\nline",
    )


@pytest.mark.parametrize(
    ("weight", "strength"),
    [(0, None), ("0.5", 0.5), (-1, -1.0), ("", None), (True, None), ("nan", None), (1e9, None),
     ([1], None), (None, None), (10**400, None)],
)  # fmt: skip
def test_preferred_weight_may_be_anything(
    tmp_path: Path, weight: object, strength: float | None
) -> None:
    assert read(tmp_path, ".json", {"preferred weight": weight}).preferred_strength == strength


def test_civitai_info(tmp_path: Path) -> None:
    said = read(
        tmp_path,
        ".civitai.info",
        {
            "id": 1,
            "name": "v1",
            "baseModel": "Pony",
            "trainedWords": ["neon glow", "night, city", 5, "neon glow"],
            "model": {"name": "Neon", "description": "<p>Bright</p>", "tags": ["style", 3]},
            "creator": {"username": "someone"},
        },
    )
    (problem,) = said.problems
    assert "“trainedWords”, “model.tags”" in problem
    assert replace(said, problems=()) == Description(
        title="Neon",
        description="Bright",
        author="someone",
        trigger_words=(TriggerWords("Civitai", ("neon glow", "night, city")),),
        tags=(("style", 0),),
        base_model="Pony",
    )
    assert read(tmp_path, ".civitai.info", {}) == Description()


def test_lora_manager(tmp_path: Path) -> None:
    said = read(
        tmp_path,
        ".metadata.json",
        {
            "model_name": "Neon",
            "base_model": "SDXL 1.0",
            "notes": "mine",
            "tags": ["style"],
            "usage_tips": '{"strength": 0.6}',
            "modelDescription": "<p>Bright</p>",
            "civitai": {"trainedWords": ["neon"], "creator": {"username": "someone"}},
        },
    )
    assert said == Description(
        title="Neon",
        description="Bright",
        author="someone",
        trigger_words=(TriggerWords("LoRA Manager", ("neon",)),),
        tags=(("style", 0),),
        preferred_strength=0.6,
        notes="mine",
        base_model="SDXL 1.0",
    )


def test_texts_of_windows_programs(tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-8-sig"):
        (tmp_path / "x.json").write_text('{"notes": "é"}', encoding)
        (tmp_path / "x.txt").write_text("漢", encoding)
        said = merge(read_sidecars([(e, tmp_path / f"x{e}") for e in (".json", ".txt")]))
        assert (said.notes, said.description, said.problems) == ("é", "漢", ())


@pytest.mark.parametrize(
    "words", [None, 5, "neon", {"a": "b"}, [1, None, ["x"], {}, True, "", " , "], [[[[]]]]]
)
def test_trained_words_may_be_anything(tmp_path: Path, words: object) -> None:
    said = read(tmp_path, ".civitai.info", {"trainedWords": words, "model": words, "tags": words})
    assert replace(said, problems=()) == Description()
    # What is there and cannot be used is named; what says nothing is not.
    odd = {name for name in ("trainedWords", "model") if f"“{name}”" in "".join(said.problems)}
    expected = {"trainedWords"} if isinstance(words, dict) else {"trainedWords", "model"}
    assert odd == (set() if words is None else expected)


def test_the_users_own_words_come_first_and_sources_add_up(tmp_path: Path) -> None:
    files = {
        ".txt": "from the text",
        ".json": json.dumps({"activation text": "mine"}),
        ".civitai.info": json.dumps(
            {"trainedWords": ["theirs"], "model": {"description": "from Civitai"}}
        ),
        ".metadata.json": json.dumps({"civitai": {"trainedWords": ["theirs"]}}),
    }
    paths = []
    for ending, text in files.items():
        (tmp_path / f"x{ending}").write_text(text)
        paths.append((ending, tmp_path / f"x{ending}"))
    said = merge(read_sidecars(paths))
    assert said.description == "from Civitai"
    assert said.trigger_words == (
        TriggerWords("A1111", ("mine",)),
        TriggerWords("LoRA Manager", ("theirs",)),
    ), "Civitai only repeats the LoRA Manager here"


def test_byte_order_mark_wrong_encoding_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'\xef\xbb\xbf{"notes": "caf\xe9"}')
    assert read_sidecars([(".json", path)])[0].notes == "caf\ufffd"
    (none,) = read_sidecars([(".json", tmp_path / "none.json")])
    assert none.problems == (f"{tmp_path / 'none.json'}: there is no such file.",)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["description", "activation text", "preferred weight", "trainedWords", "model",
             "tags", "usage_tips", "civitai", "creator", "name", "notes", "strength"]
        ),
        inner,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.sampled_from(SIDECAR_ENDINGS), _JSON.map(json.dumps).map(str.encode) | st.binary())
def test_any_sidecar_is_survived(
    tmp_path_factory: pytest.TempPathFactory, ending: str, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"wild{ending}"
    path.write_bytes(content)
    (said,) = read_sidecars([(ending, path)]) or [Description()]
    assert isinstance(said.description, str)
    assert all(word for group in said.trigger_words for word in group.words)


def test_stability_matrix_and_swarm(tmp_path: Path) -> None:
    said = read(
        tmp_path,
        ".cm-info.json",
        {"ModelName": "Neon", "UserTitle": None, "BaseModel": "Pony", "TrainedWords": ["glow"],
         "Tags": ["style"], "ModelDescription": "<p>Bright</p>"},
    )  # fmt: skip
    assert said == Description(
        title="Neon",
        description="Bright",
        base_model="Pony",
        tags=(("style", 0),),
        trigger_words=(TriggerWords("Stability Matrix", ("glow",)),),
    )
    table = {"modelspec.title": "Neon", "trigger_phrase": "glow", "modelspec.usage_hint": "0.8"}
    said = read(tmp_path, ".swarm.json", table)
    assert said == Description(
        title="Neon", notes="0.8", trigger_words=(TriggerWords("SwarmUI", ("glow",)),)
    )


def test_a_favourite_of_lora_manager_and_who_says_what(tmp_path: Path) -> None:
    (tmp_path / "x.metadata.json").write_text(
        json.dumps({"favorite": True, "notes": "mine", "usage_tips": '{"strength": 0.6}'})
    )
    (tmp_path / "x.civitai.info").write_text(json.dumps({"model": {"name": "Neon"}}))
    said = merge(
        read_sidecars(
            (ending, tmp_path / f"x{ending}") for ending in (".civitai.info", ".metadata.json")
        )
    )
    assert said.favourite
    assert dict(said.sources) == {
        "title": "Civitai",
        "favourite": "LoRA Manager",
        "notes": "LoRA Manager",
        "preferred_strength": "LoRA Manager",
    }
