"""The Python code of the pages runs as it stands, and leaves the base model exact."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from engine.checkpoint import open_checkpoint

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md", "docs/from-diffusers.md", "docs/from-sd-scripts.md", "docs/scripts.md",
)  # fmt: skip
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
BLOCKS = [
    block
    for text in TEXTS.values()
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
]


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_python_code_runs(
    code: str,
    tiny_checkpoint: Path,
    tiny_loras: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_checkpoint.parent, tmp_path, dirs_exist_ok=True)
    shutil.copy(tiny_checkpoint, "model.safetensors")
    shutil.copy(tiny_loras / "neon.safetensors", "neon.safetensors")
    shutil.copy(tiny_loras / "styles" / "ink.safetensors", "ink.safetensors")
    pipe = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float32).pipeline
    before = {name: p.clone() for name, p in pipe.unet.named_parameters()}
    names = {"pipe": pipe}
    exec(compile(code, "a page", "exec"), names)
    assert names["switcher"].verify().different == ()
    assert all(torch.equal(p, before[name]) for name, p in pipe.unet.named_parameters())


def test_there_is_code_for_every_kind_of_reader() -> None:
    assert len(BLOCKS) == 4


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(TEXTS["README.md"].splitlines()) < 200
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
