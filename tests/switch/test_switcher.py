"""The promises of a switch: exact base, one rounding, known state, nothing touched too early."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import (
    CancelledError,
    EngineError,
    FileFormatError,
    LoraRefusedError,
    SwitchError,
)
from engine.lora.file import LoraFile
from engine.protocol.refs import LoraRef
from engine.switch import base as base_module
from engine.switch import loras as loras_module
from engine.switch import merge as merge_module
from engine.switch import switcher as switcher_module
from tests.switch.conftest import Loaded, same_bits

NAMES = ("neon", "styles/ink", "styles/wash")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_base_comes_back_bit_for_bit(load: Callable[..., Loaded], dtype: torch.dtype) -> None:
    loaded = load(dtype)
    chance = random.Random(1)
    for _ in range(30):
        names = chance.sample(NAMES, chance.randint(0, 3))
        refs = [loaded.ref(n, chance.uniform(-2, 2), chance.choice((0.0, 0.7))) for n in names]
        loaded.switcher.apply(refs)
        assert bool(loaded.differing()) == bool(refs)
    loaded.switcher.apply([])
    assert loaded.differing() == []
    assert loaded.switcher.state == "base"
    assert loaded.switcher.backup_bytes == 0
    assert loaded.switcher.verify().different == ()


def test_weights_are_written_where_they_are(loaded: Loaded) -> None:
    """Compiled code and captured graphs go on using the memory they were made with."""
    addresses = {name: weight.data_ptr() for name, weight in loaded.weights().items()}
    for stack in ([loaded.ref("neon")], [loaded.ref("styles/ink"), loaded.ref("neon")], []):
        loaded.switcher.apply(stack)
        assert {name: w.data_ptr() for name, w in loaded.weights().items()} == addresses


def test_the_report_says_how_many_loras_were_read_ahead(loaded: Loaded) -> None:
    neon, ink = loaded.ref("neon"), loaded.ref("styles/ink")
    assert loaded.switcher.apply([neon]).found_in_memory == 0
    loaded.switcher.prefetch(ink)
    assert loaded.switcher.apply([ink, loaded.ref("styles/wash")]).found_in_memory == 1
    assert loaded.switcher.apply([neon, ink]).found_in_memory == 2


def test_reading_that_is_cancelled_changes_nothing(loaded: Loaded) -> None:
    loaded.switcher.apply([loaded.ref("neon")])
    ink = loaded.ref("styles/ink")
    for read in (loaded.switcher.prefetch, lambda ref, stop: loaded.switcher.apply([ref], stop)):
        with pytest.raises(CancelledError, match=r"reading of ink\.safetensors was cancelled"):
            read(ink, lambda: True)
    assert loaded.switcher.stack == (loaded.ref("neon"),)
    assert loaded.switcher.apply([ink]).found_in_memory == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_stack_is_the_float64_sum_rounded_once(
    load: Callable[..., Loaded], dtype: torch.dtype
) -> None:
    loaded = load(dtype)
    strengths = {"neon": 0.8, "styles/ink": -0.35, "styles/wash": 1.3}
    loaded.switcher.apply([loaded.ref(name, s, s / 2) for name, s in strengths.items()])
    files = {name: load_file(loaded.ref(name).path) for name in strengths}
    target = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    key = "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q"
    exact = loaded.base[f"unet.{target}.weight"].double()
    for name, strength in strengths.items():
        tensors = files[name]
        up, down = (tensors[f"{key}.lora_{part}.weight"].double() for part in ("up", "down"))
        exact = exact + strength * up @ down
    live = loaded.weights()[f"unet.{target}.weight"]
    right = (live == exact.to(dtype)).double().mean().item()
    assert right >= 0.999


def test_the_memory_format_of_a_weight_does_not_matter(
    load: Callable[..., Loaded], tmp_path: Path
) -> None:
    one, two = load(), load()
    key = "lora_unet_input_blocks_1_0_in_layers_2"
    weight = one.parts["unet"].get_parameter("down_blocks.0.resnets.0.conv1.weight")
    tensors = {
        f"{key}.lora_up.weight": torch.randn(weight.shape[0], 2, 1, 1),
        f"{key}.lora_down.weight": torch.randn(2, *weight.shape[1:]),
    }
    path = tmp_path / "convolution.safetensors"
    save_file(tensors, path)
    two.parts["unet"].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for loaded in (one, two):
        loaded.switcher.apply([LoraRef(path)])
        assert loaded.differing() == ["unet.down_blocks.0.resnets.0.conv1.weight"]
    assert all(torch.equal(a, two.weights()[name]) for name, a in one.weights().items())
    two.switcher.apply([])
    assert two.differing() == []


def test_products_stay_in_float32_whatever_the_program_has_set(
    load: Callable[..., Loaded],
) -> None:
    one, two = load(torch.float32), load(torch.float32)
    one.switcher.apply([one.ref("neon", 0.7)])
    torch.set_float32_matmul_precision("medium")
    try:
        two.switcher.apply([two.ref("neon", 0.7)])
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert all(torch.equal(a, two.weights()[name]) for name, a in one.weights().items())


def test_order_and_road_do_not_matter(load: Callable[..., Loaded]) -> None:
    one, two = load(), load()
    refs = [one.ref("neon", 0.9), one.ref("styles/ink", -0.4), one.ref("styles/wash", 0.3)]
    one.switcher.apply(refs)
    two.switcher.apply([refs[1]])
    two.switcher.apply([refs[2].at(2.0), refs[0]])
    two.switcher.apply(refs[::-1])
    assert all(same_bits(a, two.weights()[name]) for name, a in one.weights().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_names_and_places_of_files_do_not_matter(
    load: Callable[..., Loaded], tmp_path: Path, dtype: torch.dtype
) -> None:
    one, two = load(dtype), load(dtype)
    refs = [one.ref("neon", 0.9), one.ref("styles/ink", -0.4), one.ref("styles/wash", 0.3)]
    moved = []
    for name, ref in zip("zay", refs, strict=True):
        path = Path(shutil.copy(ref.path, tmp_path / f"{name}.safetensors"))
        moved.append(LoraRef(path, ref.unet, ref.text_encoder))
    one.switcher.apply(refs)
    two.switcher.apply(moved)
    assert all(torch.equal(a, two.weights()[name]) for name, a in one.weights().items())


def test_a_lora_without_strength_counts_for_nothing(loaded: Loaded, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.safetensors"
    inside = {"bundle_emb.leaf.clip_l": torch.ones(1, 8)}
    save_file(load_file(loaded.ref("neon").path) | inside, bundle)
    loaded.switcher.apply([LoraRef(bundle, 0.5)])
    assert [found.name for found in loaded.switcher.embeddings] == ["leaf"]
    loaded.switcher.apply([LoraRef(bundle, 0.0, 0.0)])
    assert loaded.switcher.embeddings == ()
    assert loaded.switcher.embeddings_of([LoraRef(bundle, 0.0, 0.0)]) == ()


def test_text_encoders_have_their_own_strengths(loaded: Loaded) -> None:
    report = loaded.switcher.apply([loaded.ref("neon", 1.0, 0.0)])
    assert not report.text_encoders_changed
    assert all(name.startswith("unet.") for name in loaded.differing())
    ref = LoraRef(loaded.ref("neon").path, 0.0, 0.0, 1.0)
    report = loaded.switcher.apply([ref])
    assert report.text_encoders_changed
    assert all(name.startswith("text_encoder_2.") for name in loaded.differing())


def test_what_stays_the_same_is_not_written_again(loaded: Loaded) -> None:
    first = loaded.switcher.apply([loaded.ref("neon")])
    again = loaded.switcher.apply([loaded.ref("neon")])
    assert (again.merged, again.restored, again.kept) == (0, 0, first.merged)
    changed = loaded.switcher.apply([loaded.ref("neon", 1.0, 0.5)])
    assert changed.merged == 2, "only the two text encoder weights have another strength"


@pytest.mark.parametrize("fault", [RuntimeError("no"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_fault_while_writing_ends_in_the_exact_base(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, fault: BaseException, after: int
) -> None:
    loaded.switcher.apply([loaded.ref("styles/ink")])
    real, calls = merge_module.merge_weight, 0

    def failing(live: torch.Tensor, *rest: object) -> torch.Tensor | None:
        nonlocal calls
        calls += 1
        if calls > after:
            live.fill_(7.0)
            raise fault
        return real(live, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(merge_module, "merge_weight", failing)
    expected = SwitchError if isinstance(fault, Exception) else KeyboardInterrupt
    with pytest.raises(expected):
        loaded.switcher.apply([loaded.ref("neon"), loaded.ref("styles/wash")])
    assert loaded.differing() == []
    assert (loaded.switcher.state, loaded.switcher.stack) == ("base", ())
    monkeypatch.undo()
    loaded.switcher.apply([loaded.ref("neon")])
    assert loaded.switcher.state == "stack"


def test_memory_running_out_for_backups_changes_nothing(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.switcher.apply([loaded.ref("styles/ink", 0.5, 0.0)])
    before = {name: weight.clone() for name, weight in loaded.weights().items()}

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(base_module.Backups, "save", full)
    with pytest.raises(SwitchError, match=r"not enough memory.*nothing was changed"):
        loaded.switcher.apply([loaded.ref("neon")])
    assert all(same_bits(weight, before[name]) for name, weight in loaded.weights().items())
    assert loaded.switcher.stack == (loaded.ref("styles/ink", 0.5, 0.0),)


def test_a_cancel_ends_in_the_base(loaded: Loaded) -> None:
    answers = iter([False, False, True])
    with pytest.raises(EngineError, match="cancelled"):
        loaded.switcher.apply([loaded.ref("neon")], cancelled=lambda: next(answers))
    assert loaded.differing() == []


@pytest.mark.parametrize("state", ["base", "stack"])
def test_verify_finds_one_flipped_bit(loaded: Loaded, state: str) -> None:
    if state == "stack":
        loaded.switcher.apply([loaded.ref("neon")])
    weight = loaded.parts["unet"].get_parameter("conv_out.weight").data
    weight.view(torch.int16).flatten()[3] ^= 1
    report = loaded.switcher.verify()
    assert report.different == ("unet.conv_out.weight",)
    assert report.weights == sum(w.numel() for w in loaded.base.values())


def test_moving_backups_changes_no_weight(loaded: Loaded) -> None:
    loaded.switcher.apply([loaded.ref("neon")])
    before = {name: weight.clone() for name, weight in loaded.weights().items()}
    held = loaded.switcher.backup_bytes
    loaded.switcher.set_backup("cpu")
    assert (loaded.switcher.tier, loaded.switcher.backup_bytes) == ("cpu", held)
    assert all(same_bits(weight, before[name]) for name, weight in loaded.weights().items())
    loaded.switcher.apply([])
    assert loaded.differing() == []


def _refused(loaded: Loaded, path: Path, error: type[EngineError], match: str) -> None:
    loaded.switcher.apply([loaded.ref("neon")])
    before = {name: weight.clone() for name, weight in loaded.weights().items()}
    with pytest.raises(error, match=match):
        loaded.switcher.apply([loaded.ref("styles/ink"), LoraRef(path)])
    assert all(same_bits(weight, before[name]) for name, weight in loaded.weights().items())
    assert loaded.switcher.stack == (loaded.ref("neon"),)


def test_other_widths_are_refused(loaded: Loaded, tmp_path: Path) -> None:
    key = "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{key}.lora_down.weight": torch.zeros(4, 2048),
        f"{key}.lora_up.weight": torch.zeros(16, 4),
    }
    path = tmp_path / "wide.safetensors"
    save_file(tensors, path)
    _refused(loaded, path, LoraRefusedError, "2048.*16x24")


def test_another_base_model_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{key}.lora_down.weight": torch.zeros(4, 768),
        f"{key}.lora_up.weight": torch.zeros(320, 4),
    }
    path = tmp_path / "old.safetensors"
    save_file(tensors, path)
    _refused(loaded, path, LoraRefusedError, "for SD 1.5, the loaded model is SDXL")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(
    loaded: Loaded, tmp_path: Path, value: float
) -> None:
    tensors = load_file(loaded.ref("styles/wash").path)
    tensors[next(name for name in tensors if "up" in name)][0, 0] = value
    path = tmp_path / "nan.safetensors"
    save_file(tensors, path)
    _refused(loaded, path, LoraRefusedError, "not finite")


def test_a_truncated_file_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(Path(loaded.ref("neon").path).read_bytes()[:-9])
    _refused(loaded, path, FileFormatError, "truncated")


def test_a_missing_file_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    _refused(loaded, tmp_path / "gone.safetensors", FileFormatError, "gone.safetensors")


def test_weights_on_the_meta_device_are_refused() -> None:
    with torch.device("meta"):
        unet = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(EngineError, match="meta device"):
        switcher_module.LoraSwitcher(unet)


def test_the_three_steps_of_sd_scripts(loaded: Loaded) -> None:
    stack = [loaded.ref("neon", 0.8)]
    loaded.switcher.backup_weights(stack)
    held = loaded.switcher.backup_bytes
    assert held > 0
    assert (loaded.switcher.state, loaded.differing()) == ("base", [])
    report = loaded.switcher.pre_calculation(stack)
    assert (report.backup_bytes, loaded.switcher.stack) == (held, tuple(stack))
    assert loaded.switcher.restore_weights().restored == report.merged
    assert (loaded.differing(), loaded.switcher.backup_bytes) == ([], 0)


def test_backups_made_ahead_for_nothing_are_dropped(loaded: Loaded) -> None:
    loaded.switcher.backup_weights([loaded.ref("neon")])
    loaded.switcher.apply([])
    assert loaded.switcher.backup_bytes == 0


def test_another_strength_reads_and_fits_nothing_again(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.switcher.apply([loaded.ref("neon", 0.5)])

    def never(*_: object) -> None:
        raise AssertionError("worked out again")

    monkeypatch.setattr(loras_module, "fit", never)
    monkeypatch.setattr("engine.lora.cache.read_values", never)
    loaded.switcher.apply([loaded.ref("neon", 0.7)])
    assert loaded.switcher.stack == (loaded.ref("neon", 0.7),)


def test_a_new_file_is_fitted_once(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[str] = []
    real = loras_module.fit

    def counting(file: LoraFile, *rest: Any) -> Any:
        fitted.append(file.path.stem)
        return real(file, *rest)

    monkeypatch.setattr(loras_module, "fit", counting)
    loaded.switcher.prefetch(loaded.ref("neon"))
    stack = [loaded.ref("neon"), loaded.ref("styles/ink"), loaded.ref("styles/ink", 0.5)]
    loaded.switcher.apply(stack)
    assert fitted == ["neon", "ink"]
