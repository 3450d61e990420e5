"""What is kept of a model counts as long as nothing that is read with it has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.protocol.commands import Load
from engine.sweep.facts import ModelFacts, keep_facts, kept_facts


@pytest.mark.parametrize(
    "beside",
    ["model.safetensors", "model.yaml", "model.vae.safetensors", "tokenizer/vocab.json"],
)
@pytest.mark.parametrize("is_new", [False, True])
def test_they_are_forgotten_with_any_file_of_the_model(
    tmp_path: Path, beside: str, is_new: bool
) -> None:
    model, facts = tmp_path / "model.safetensors", ModelFacts("fingerprint", 64)
    model.write_bytes(b"weights")
    other = tmp_path / beside
    other.parent.mkdir(exist_ok=True)
    if not is_new and other != model:
        other.write_bytes(b"before")
    keep_facts(tmp_path / "sweep", Load(model), model, facts)
    assert kept_facts(tmp_path / "sweep", Load(model), model) == facts
    other.write_bytes(b"afterwards")
    assert kept_facts(tmp_path / "sweep", Load(model), model) is None


@pytest.mark.parametrize("other", [{"dtype": "float16"}, {"vae_dtype": "bfloat16"}])
def test_they_are_of_a_model_in_these_types(tmp_path: Path, other: dict[str, str]) -> None:
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"weights")
    keep_facts(tmp_path / "sweep", Load(model), model, ModelFacts("fingerprint", 64))
    assert kept_facts(tmp_path / "sweep", Load(model, **other), model) is None  # type: ignore[arg-type]
