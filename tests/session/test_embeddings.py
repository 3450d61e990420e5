"""A textual inversion named in a prompt, from the folder to the picture's infotext."""

from __future__ import annotations

import queue
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.generate.infotext import parse_infotext
from engine.protocol.commands import Draw, Load, SetStack, Verify
from engine.protocol.events import CommandFailed, Event, GenerationFinished, Switched, Verified
from engine.protocol.passes import HiresPass
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.session import Session

E = TypeVar("E", bound=Event)
TWIG = {"clip_l": torch.full((2, 8), 3.0), "clip_g": torch.full((2, 16), -3.0)}


def wait_for(events: queue.SimpleQueue[Event], kind: type[E]) -> E:
    while not isinstance(event := events.get(timeout=120), kind):
        assert not isinstance(event, CommandFailed), event
    return event


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`twig` for SDXL, `old` for SD 1.5 and a pickle `evil`."""
    folder = tmp_path / "embeddings"
    folder.mkdir()
    save_file(TWIG, folder / "twig.safetensors")
    save_file({"emb_params": torch.ones(1, 768)}, folder / "old.safetensors")
    (folder / "evil.pt").write_bytes(b"\x80\x02}q\x00.")
    return folder


def test_inversions_from_a_folder_and_from_a_live_lora(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path, folder: Path
) -> None:
    bundle = tmp_path / "bundle.safetensors"
    inside = {f"bundle_emb.leaf.{role}": 2 * vectors for role, vectors in TWIG.items()}
    save_file(load_file(tiny_loras / "neon.safetensors") | inside, bundle)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    session = Session(lambda message: events.put(message.event))

    def draw(prompt: str, *folders: Path, **own: Any) -> tuple[bytes, GenerationFinished]:
        request = GenerateRequest(
            prompt,
            tmp_path / "out",
            seed=1,
            steps=1,
            width=64,
            height=64,
            sampler="Euler",
            schedule="Automatic",
            cfg_scale=1,
            embeddings=folders,
        )
        session.send(Draw(replace(request, **own)))
        finished = wait_for(events, GenerationFinished)
        from PIL import Image

        return Image.open(finished.pictures[0].path).tobytes(), finished

    try:
        session.send(Load(tiny_checkpoint, device="cpu", dtype="float32"))
        without, _ = draw("a twig")
        pixels, finished = draw("a twig", folder)
        assert pixels != without
        assert finished.warnings == ()
        ((name, value),) = parse_infotext(finished.pictures[0].infotext).embedding_hashes
        assert (name, len(value)) == ("twig", 12)
        _, finished = draw("old, evil", folder)
        assert [warning.split(":")[0] for warning in finished.warnings] == [
            "old.safetensors",
            "evil.pt",
        ]
        session.send(SetStack((LoraRef(bundle),)))
        assert wait_for(events, Switched).report.loras[0].embeddings == ("leaf",)
        _, finished = draw("a leaf")
        infotext = parse_infotext(finished.pictures[0].infotext)
        assert infotext.embedding_hashes == (("leaf", "bundle"),)
        session.send(SetStack())
        _, finished = draw("a leaf")
        assert parse_infotext(finished.pictures[0].infotext).embedding_hashes == ()
        # That of a region's LoRA is known too, and of a second pass's.
        members = (LoraRef(bundle),)
        for prompt, own in (
            ("a fox ADDCOL a leaf", {"region_stacks": ((), members)}),
            ("a fox", {"hires": HiresPass(1.25, prompt="a leaf", stack=members)}),
        ):
            _, finished = draw(prompt, **own)
            infotext = parse_infotext(finished.pictures[0].infotext)
            assert infotext.embedding_hashes == (("leaf", "bundle"),)
        session.send(Verify())
        assert wait_for(events, Verified).report.different == ()
    finally:
        assert session.close(60)
