"""The model's file is written to while its pages are the weights: noticed, and said plainly."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from engine.checkpoint import open_checkpoint
from engine.errors import CheckpointError, EngineError, SwitchError
from engine.protocol.refs import LoraRef
from engine.protocol.reports import Tier
from engine.switch.switcher import LoraSwitcher
from tests.switch.conftest import same_bits

ROOT = Path(__file__).parents[2]
TIERS: tuple[Tier, ...] = ("device", "cpu", "file")


class Mapped:
    """The tiny model, whose weights are pages of a file of its own, and its weights as loaded."""

    def __init__(self, checkpoint: Path, folder: Path, loras: Path, tier: Tier = "cpu") -> None:
        self.path = folder / "model" / checkpoint.name
        shutil.copytree(checkpoint.parent, self.path.parent)
        self.whole = self.path.read_bytes()
        (length,) = struct.unpack("<Q", self.whole[:8])
        self.data_start = 8 + length
        self.loras = loras
        self.model = open_checkpoint(self.path, device="cpu", dtype=torch.float16)
        names = ("unet", "text_encoder", "text_encoder_2")
        self.parts = {name: getattr(self.model.pipeline, name) for name in names}
        self.base = {name: weight.clone() for name, weight in self.weights().items()}
        self.switcher = LoraSwitcher(**self.parts, backup=tier, source=self.model.source)

    def weights(self) -> dict[str, torch.Tensor]:
        return {
            f"{part}.{name}": parameter.detach()
            for part, module in self.parts.items()
            for name, parameter in module.named_parameters()
        }

    def differing(self) -> list[str]:
        now = self.weights()
        return [name for name, base in self.base.items() if not same_bits(now[name], base)]

    def ref(self, name: str, strength: float = 1.0) -> LoraRef:
        return LoraRef(self.loras / f"{name}.safetensors", strength, strength)

    def write(self, data: bytes, start: int) -> None:
        with self.path.open("r+b") as file:
            file.seek(start)
            file.write(data)

    def spoil(self) -> None:
        """Other weights in the same place, of the same size and as old as before."""
        before = self.path.stat()
        noise = random.Random(3).randbytes(len(self.whole) - self.data_start)
        self.write(noise, self.data_start)
        os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def mend(self) -> None:
        self.write(self.whole, 0)

    def place(self, part: str, name: str) -> tuple[int, int]:
        """Where a weight lies in the file."""
        assert self.model.source is not None
        return self.model.source._places[part][name].range


@pytest.fixture
def mapped(tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path) -> Mapped:
    return Mapped(tiny_checkpoint, tmp_path, tiny_loras)


@pytest.fixture(params=("cpu", "file"))
def in_tier(
    request: pytest.FixtureRequest, tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> Mapped:
    """With copies in memory and without: the tier `device` of a CPU is memory as well."""
    return Mapped(tiny_checkpoint, tmp_path, tiny_loras, request.param)


@pytest.mark.parametrize("before", [[], ["neon"]], ids=["base", "stack"])
@pytest.mark.parametrize("wanted", [[], ["styles/ink"]], ids=["to the base", "to another"])
def test_other_weights_in_its_place_are_never_taken_for_the_base(
    in_tier: Mapped, before: list[str], wanted: list[str]
) -> None:
    switcher = in_tier.switcher
    switcher.apply([in_tier.ref(name) for name in before])
    in_tier.spoil()
    assert (switcher.state, switcher.stack) == ("recovering", ()), "before anybody asks for more"
    for _ in range(2):
        with pytest.raises(SwitchError, match="file, whose pages they are, was written to; load"):
            switcher.apply([in_tier.ref(name) for name in wanted])
        assert (switcher.state, switcher.stack) == ("recovering", ())
    assert len(switcher.verify().different) > 300
    for call in (switcher.require_known, lambda: switcher.backup_weights([in_tier.ref("neon")])):
        with pytest.raises(SwitchError, match="load the model again"):
            call()
    assert switcher.state == "recovering"


def test_a_file_that_is_whole_again_is_used_again(in_tier: Mapped) -> None:
    switcher = in_tier.switcher
    switcher.apply([in_tier.ref("neon")])
    in_tier.spoil()
    with pytest.raises(SwitchError):
        switcher.apply([in_tier.ref("styles/ink")])
    in_tier.mend()
    switcher.apply([])
    assert (switcher.state, in_tier.differing()) == ("base", [])
    switcher.apply([in_tier.ref("styles/ink")])
    assert switcher.state == "stack"
    switcher.apply([])
    assert (in_tier.differing(), switcher.verify().different) == ([], ())


def test_one_bit_of_a_weight_that_no_lora_changes_is_noticed(mapped: Mapped) -> None:
    mapped.switcher.apply([mapped.ref("neon")])
    start, _ = mapped.place("unet", "conv_norm_out.bias")
    mapped.write(bytes([mapped.whole[start] ^ 1]), start)
    with pytest.raises(SwitchError, match=r"^1 weights .*such as unet\.conv_norm_out\.bias"):
        mapped.switcher.apply([])
    assert mapped.switcher.verify().different == ("unet.conv_norm_out.bias",)


def touch(path: Path) -> None:
    os.utime(path)


def make_read_only(path: Path) -> None:
    path.chmod(0o400)


def rename(path: Path) -> None:
    path.rename(path.with_name("renamed.safetensors"))


def link(path: Path) -> None:
    path.with_name("linked.safetensors").hardlink_to(path)


def replace(path: Path) -> None:
    """By another model, as downloads do that are finished."""
    path.with_name("new").write_bytes(bytes(path.stat().st_size))
    path.with_name("new").replace(path)


def write_the_same(path: Path) -> None:
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.write(data)


def copy_the_same_over(path: Path) -> None:
    """As `cp` does: the file is empty first, which takes even pages away that were written to."""
    path.write_bytes(path.read_bytes())


HARMLESS = [touch, make_read_only, rename, link, replace, Path.unlink, write_the_same,
            copy_the_same_over]  # fmt: skip


@pytest.mark.parametrize("change", HARMLESS)
def test_what_leaves_the_content_as_it_is_costs_nobody_a_stack(
    in_tier: Mapped, change: Callable[[Path], None]
) -> None:
    switcher, neon = in_tier.switcher, in_tier.ref("neon", 0.8)
    switcher.apply([neon])
    merged = {name: weight.clone() for name, weight in in_tier.weights().items()}
    change(in_tier.path)
    assert switcher.verify().different == ()
    assert (switcher.state, switcher.stack) == ("stack", (neon,))
    assert all(same_bits(weight, merged[name]) for name, weight in in_tier.weights().items())
    switcher.apply([in_tier.ref("styles/ink")])
    switcher.apply([])
    assert (switcher.state, in_tier.differing()) == ("base", [])


@pytest.mark.parametrize("change", HARMLESS)
def test_the_stack_is_whole_before_a_drawing(
    mapped: Mapped, change: Callable[[Path], None]
) -> None:
    neon = mapped.ref("neon", 0.8)
    mapped.switcher.apply([neon])
    merged = {name: weight.clone() for name, weight in mapped.weights().items()}
    change(mapped.path)
    mapped.switcher.require_known()
    assert mapped.switcher.stack == (neon,)
    assert all(same_bits(weight, merged[name]) for name, weight in mapped.weights().items())


def test_a_stack_whose_lora_is_gone_leaves_the_base(mapped: Mapped, tmp_path: Path) -> None:
    lora = tmp_path / "mine.safetensors"
    shutil.copyfile(mapped.ref("neon").path, lora)
    mapped.switcher.apply([LoraRef(lora)])
    lora.unlink()
    copy_the_same_over(mapped.path)
    with pytest.raises(EngineError, match="mine"):
        mapped.switcher.require_known()
    assert (mapped.switcher.state, mapped.differing()) == ("base", [])


@pytest.mark.parametrize(
    ("moment", "before"),
    [(1, []), (2, ["neon"]), (3, []), (8, []), (8, ["neon"]), (10_000, ["neon"])],
)
def test_a_file_written_to_during_a_switch_is_noticed(
    in_tier: Mapped, moment: int, before: list[str]
) -> None:
    """While LoRAs are read, while weights are written, and after the last of them."""
    switcher = in_tier.switcher
    switcher.apply([in_tier.ref(name) for name in before])
    asked = 0

    def spoil() -> bool:
        nonlocal asked
        asked += 1
        if asked == moment:
            in_tier.spoil()
        return False

    stack = [in_tier.ref("styles/ink"), in_tier.ref("styles/wash", 0.5)]
    try:
        switcher.apply(stack, spoil)
    except SwitchError as error:
        assert "file" in str(error)  # noqa: PT017
        assert (switcher.state, switcher.stack) == ("recovering", ())
    else:
        assert asked < moment
        assert switcher.stack == tuple(stack)
        in_tier.spoil()
    with pytest.raises(SwitchError):
        switcher.apply([])
    assert switcher.state == "recovering"
    in_tier.mend()
    switcher.apply([])
    assert (switcher.state, in_tier.differing()) == ("base", [])


def test_a_file_written_to_between_loading_and_the_switcher_is_refused(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    mapped = Mapped(tiny_checkpoint, tmp_path, tiny_loras)
    mapped.write(b"\0\0", mapped.data_start)
    with pytest.raises(CheckpointError, match="has changed since the model was loaded"):
        LoraSwitcher(**mapped.parts, source=mapped.model.source)
    # The switcher that was there keeps the model.
    mapped.mend()
    mapped.switcher.apply([])
    assert mapped.switcher.state == "base"


def test_a_file_that_is_cut_off_is_refused_and_not_touched(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    """In a process of its own: to read beyond the end would kill it."""
    code = f"""
    import os
    from pathlib import Path
    from engine.errors import EngineError
    from engine.switch.switcher import LoraSwitcher
    from tests.switch.test_changed_checkpoint import TIERS, Mapped

    for tier in TIERS:
        m = Mapped(Path({str(tiny_checkpoint)!r}), Path({str(tmp_path)!r}) / tier,
                   Path({str(tiny_loras)!r}), tier)
        m.switcher.apply([m.ref("neon")])
        for length in (len(m.whole) - 1, m.data_start + 5000, 0):
            os.truncate(m.path, length)
            assert m.switcher.state == "recovering"
            for call in (lambda: m.switcher.apply([m.ref("styles/ink")]),
                         m.switcher.restore_weights, m.switcher.require_known):
                try:
                    call()
                except EngineError as error:
                    assert "has become shorter" in str(error), error
                else:
                    raise AssertionError("nothing was said")
            assert len(m.switcher.verify().different) > 500
            assert m.switcher.state == "recovering"
        m.mend()
        m.switcher.apply([])
        assert (m.switcher.state, m.differing()) == ("base", [])
        assert m.switcher.verify().different == ()
        os.truncate(m.path, 0)
        try:
            LoraSwitcher(**m.parts, source=m.model.source)
        except EngineError as error:
            assert "has become shorter" in str(error), error
        else:
            raise AssertionError("nothing was said")
    print("all said")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "all said"), done.stderr[-2000:]


@pytest.mark.parametrize("seed", range(2))
def test_a_file_that_another_program_writes_to_at_any_moment(
    seed: int, tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    """Whatever is interrupted: what the state says of the weights is true, or it says nothing."""
    chance = random.Random(seed)
    mapped = Mapped(tiny_checkpoint, tmp_path, tiny_loras, chance.choice(TIERS))
    switcher, names = mapped.switcher, ("neon", "styles/ink", "styles/wash")
    stacks = [(), *((mapped.ref(name, 0.5),) for name in names)]
    expected: list[dict[str, torch.Tensor]] = []
    for stack in stacks:
        switcher.apply(stack)
        expected.append({name: weight.clone() for name, weight in mapped.weights().items()})
    stop = threading.Event()

    def write() -> None:
        other = random.Random(seed)
        while not stop.is_set():
            start = other.randrange(len(mapped.whole))
            size = other.randrange(200_000)
            mapped.write(other.randbytes(size)[: len(mapped.whole) - start], start)
            mapped.write(mapped.whole[start : start + size], start)

    writer = threading.Thread(target=write)
    writer.start()
    refused = 0
    for _ in range(25):
        try:
            switcher.apply(chance.choice(stacks))
        except EngineError:
            refused += 1
    stop.set()
    writer.join()
    switcher.require_known()
    live = expected[stacks.index(switcher.stack)]
    assert all(same_bits(weight, live[name]) for name, weight in mapped.weights().items())
    switcher.apply([])
    assert (switcher.state, mapped.differing()) == ("base", [])
    assert refused


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what is mapped")
def test_a_file_that_nobody_named_is_watched_too(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    mapped = Mapped(tiny_checkpoint, tmp_path, tiny_loras)
    switcher = LoraSwitcher(**mapped.parts)
    switcher.apply([mapped.ref("neon")])
    touch(mapped.path)
    assert switcher.verify().different == ()
    assert switcher.stack == (mapped.ref("neon"),)
    mapped.spoil()
    assert switcher.state == "recovering"
    with pytest.raises(SwitchError, match="file, whose pages they are, was written to"):
        switcher.apply([])
    mapped.mend()
    switcher.apply([])
    assert (switcher.state, mapped.differing()) == ("base", [])
    os.truncate(mapped.path, mapped.data_start)
    with pytest.raises(SwitchError, match=r"tiny\.safetensors: the file has become shorter"):
        switcher.apply([])


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what is mapped")
def test_what_diffusers_maps_is_watched(mapped: Mapped, tmp_path: Path) -> None:
    mapped.parts["unet"].save_pretrained(tmp_path / "unet")
    unet = UNet2DConditionModel.from_pretrained(tmp_path / "unet", torch_dtype=torch.float16)
    (path,) = (tmp_path / "unet").glob("*.safetensors")
    if str(path) not in Path("/proc/self/maps").read_text():
        pytest.skip("this version of diffusers maps no files")
    base = {name: weight.clone() for name, weight in unet.named_parameters()}
    switcher = LoraSwitcher(unet)
    switcher.apply([mapped.ref("neon")])
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(bytes(1000))
    with pytest.raises(SwitchError, match="file, whose pages they are, was written to"):
        switcher.apply([])
    with path.open("r+b") as file:
        file.write(data)
    switcher.apply([])
    assert all(same_bits(weight, base[name]) for name, weight in unet.named_parameters())


def test_moving_backups_out_of_a_file_that_is_written_to_leaves_them_there(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped = Mapped(tiny_checkpoint, tmp_path, tiny_loras, "file")
    mapped.switcher.apply([mapped.ref("neon")])
    backups = mapped.switcher._base._backups
    real, moved = backups._copy, 0

    def spoiling(*arguments: object) -> object:
        nonlocal moved
        moved += 1
        if moved == 3:
            mapped.spoil()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(backups, "_copy", spoiling)
    with pytest.raises(SwitchError, match="written to while the backups were moved"):
        mapped.switcher.set_backup("cpu")
    monkeypatch.undo()
    assert (mapped.switcher.tier, mapped.switcher.backup_bytes) == ("file", 0)
    mapped.mend()
    mapped.switcher.apply([])
    assert mapped.differing() == []


def test_verify_marks_what_it_finds(mapped: Mapped) -> None:
    """Whatever changed the weights: a state that is not true is not kept up."""
    mapped.switcher.apply([mapped.ref("neon")])
    weight = mapped.parts["unet"].get_parameter("conv_out.weight").data
    weight.view(torch.int16).flatten()[3] ^= 1
    assert mapped.switcher.verify().different == ("unet.conv_out.weight",)
    assert mapped.switcher.state == "recovering"
    # The model's file still has it.
    mapped.switcher.apply([])
    assert (mapped.switcher.state, mapped.differing()) == ("base", [])


def test_verify_of_weights_that_nothing_can_bring_back(loaded_without_file: Mapped) -> None:
    mapped = loaded_without_file
    mapped.parts["unet"].get_parameter("conv_out.weight").data.fill_(1)
    assert mapped.switcher.verify().different == ("unet.conv_out.weight",)
    with pytest.raises(SwitchError, match="not the base model's any more; load the model again"):
        mapped.switcher.apply([mapped.ref("neon")])
    assert mapped.switcher.state == "recovering"


@pytest.fixture
def loaded_without_file(mapped: Mapped) -> Mapped:
    mapped.switcher = LoraSwitcher(**mapped.parts)
    return mapped
