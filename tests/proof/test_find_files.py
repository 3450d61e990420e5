"""The files behind a picture are found by their content, and the drawing is moved to them."""

from __future__ import annotations

from pathlib import Path

from engine.proof.contents import FileContents
from engine.proof.find_files import find_loras, with_found
from engine.protocol.certificate import Certificate, Machine
from engine.protocol.making import Making
from engine.protocol.passes import HiresPass
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from tests.support.safetensors_files import write_safetensors

MACHINE = Machine("cpu", "resident", 1, ())


def certificate(*paths: Path) -> Certificate:
    contents = FileContents()
    known = tuple((str(path), contents.lora(path)) for path in paths)
    return Certificate("w", "r", "b", "/m", known, 1, 1, MACHINE)


def test_a_file_is_found_under_any_name_and_its_metadata_may_be_others(tmp_path: Path) -> None:
    lora = write_safetensors(tmp_path / "neon.safetensors", metadata={"title": "old"})
    was = certificate(lora)
    lora.unlink()
    other = write_safetensors(tmp_path / "ink.safetensors", data=b"\1\1\1\1")
    found = write_safetensors(tmp_path / "renamed.safetensors", metadata={"title": "new"})
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no")
    (lora,) = find_loras(was, [other, broken, found], FileContents())
    assert (lora.now, lora.problem) == (found, "")


def test_the_file_of_its_name_is_named_when_it_is_another(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "neon.safetensors")
    was = certificate(path)
    write_safetensors(path, data=b"\0\0\0\1")
    (lora,) = find_loras(was, [], FileContents())
    assert lora.now == path
    assert lora.problem.startswith(f"{path}: this is another file")
    path.unlink()
    (lora,) = find_loras(was, [], FileContents())
    assert lora.now is None
    assert "neon.safetensors is neither where it was nor in the library" in lora.problem


def test_all_of_a_drawing_is_moved(tmp_path: Path) -> None:
    old = write_safetensors(tmp_path / "old.safetensors")
    was = certificate(old)
    new = old.rename(tmp_path / "new.safetensors")
    ref = LoraRef(old, 0.5)
    hires = HiresPass(stack=(ref,), region_stacks=((), (ref,)))
    request = GenerateRequest("x", tmp_path, region_stacks=((ref,),), hires=hires)
    moved = with_found(Making(request, (ref,)), find_loras(was, [new], FileContents()))
    assert moved.stack == (LoraRef(new, 0.5),)
    assert moved.request.own_loras == (LoraRef(new, 0.5),) * 3
    plain = with_found(Making(GenerateRequest("x", tmp_path)), ())
    assert plain.request.hires is None
