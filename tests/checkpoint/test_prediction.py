"""What a model predicts: said by its file, by the YAML beside it, or by the user, in that order."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.checkpoint import check_checkpoint, open_checkpoint
from engine.checkpoint.prediction_in_files import MAX_YAML_BYTES
from engine.errors import CheckpointError
from engine.sdxl.prediction import Prediction
from tests.checkpoint.conftest import open_float32
from tests.support.tiny_checkpoint import rewrite_checkpoint

SGM = """\
model:
  target: sgm.models.diffusion.DiffusionEngine
  params:
    scale_factor: 0.13025
    denoiser_config:
      target: sgm.modules.diffusionmodules.denoiser.DiscreteDenoiser
      params:
        scaling_config:
          target: sgm.modules.diffusionmodules.denoiser_scaling.{}
"""
LDM = """\
model:
  base_learning_rate: 1.0e-4
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    parameterization: "v"
    linear_start: 0.00085
"""


def settings(pipe: Any) -> tuple[str, bool]:
    config = pipe.scheduler.config
    return config.prediction_type, config.rescale_betas_zero_snr


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return rewrite_checkpoint(tiny_checkpoint, tmp_path, lambda tensors: None)


SAID = [
    (LDM, ("v_prediction", False)),
    ("parameterization: v", ("v_prediction", False)),
    ("parameterization:   'v'   # as trained", ("v_prediction", False)),
    ("model: {params: {parameterization: v, other: 1}}", ("v_prediction", False)),
    ('{"model": {"params": {"parameterization": "v"}}}', ("v_prediction", False)),
    ("prediction_type: v_prediction", ("v_prediction", False)),
    (LDM + "    zero_snr: true\n", ("v_prediction", True)),
    ("use_ztsnr: True\nparameterization: v", ("v_prediction", True)),
    (LDM + "    zero_snr: false\n", ("v_prediction", False)),
    (SGM.format("VScaling"), ("v_prediction", False)),
    (SGM.format("EpsScaling"), ("epsilon", False)),
    (SGM.format("VScalingWithEDMcNoise"), ("epsilon", False)),
    ("parameterization: eps", ("epsilon", False)),
    ("# parameterization: v", ("epsilon", False)),
    ("scale: 1 # parameterization: v", ("epsilon", False)),
    ("parameterization: eps\nparameterization: v", ("epsilon", False)),
    ("parameterization: x0", ("epsilon", False)),
    ("zero_snr: true", ("epsilon", False)),
    ("", ("epsilon", False)),
    ("\0\xff{{{[[[ !!python/object/apply:os.system ['true']", ("epsilon", False)),
]


@pytest.mark.parametrize(
    ("text", "expected", "ending"),
    # All kinds go through one reader: of the other ending it is asked that it is looked for.
    [*((*said, "yaml") for said in SAID), (*SAID[0], "yml")],
)
def test_the_yaml_beside_it_is_read(
    checkpoint: Path, text: str, expected: tuple[str, bool], ending: str
) -> None:
    checkpoint.with_suffix(f".{ending}").write_text(text, encoding="utf-8")
    model = open_float32(checkpoint)
    assert settings(model.pipeline) == expected
    told = any(f"other.{ending} beside the model" in note for note in model.notes)
    assert told == (expected[0] == "v_prediction")


def test_the_file_itself_goes_before_what_lies_beside_it(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    marked = rewrite_checkpoint(
        tiny_checkpoint, tmp_path / "a", lambda tensors: tensors.update(v_pred=torch.zeros(0))
    )
    marked.with_suffix(".yaml").write_text("parameterization: eps")
    assert settings(open_float32(marked).pipeline) == ("v_prediction", False)
    said = {"modelspec.prediction_type": "epsilon"}
    epsilon = rewrite_checkpoint(tiny_checkpoint, tmp_path / "b", lambda tensors: None, **said)
    epsilon.with_suffix(".yaml").write_text("parameterization: v")
    assert settings(open_float32(epsilon).pipeline) == ("epsilon", False)


@pytest.mark.parametrize("kind", ["pipe", "folder", "huge", "dangling"])
def test_what_is_no_sensible_yaml_is_passed_over_in_words(checkpoint: Path, kind: str) -> None:
    beside = checkpoint.with_suffix(".yaml")
    if kind == "pipe":
        os.mkfifo(beside)
    elif kind == "folder":
        beside.mkdir()
    elif kind == "huge":
        beside.write_text("#" * MAX_YAML_BYTES + "\nparameterization: v")
    else:
        beside.symlink_to("nowhere")
    model = open_float32(checkpoint)
    assert settings(model.pipeline) == ("epsilon", False)
    notes = [note for note in model.notes if "other.yaml" in note and "--prediction" in note]
    assert len(notes) == (kind != "dangling")


@pytest.mark.parametrize(
    ("name", "told"),
    [("NoobAI-XL-Vpred-0.5", "--prediction v"), ("mix_v-pred", "--prediction v"),
     ("some v prediction model", "--prediction v"), ("vprediction_x", "--prediction v"),
     ("lightning_1step_unet_x0", "(x0), which is not supported"), ("0x0f", ""), ("max0", ""),
     ("v1_predator", ""), ("advpred", ""), ("plain", "")],
)  # fmt: skip
def test_a_name_that_speaks_of_v_or_x0_is_told_and_not_believed(
    tiny_checkpoint: Path, tmp_path: Path, name: str, told: str
) -> None:
    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, lambda _: None, f"{name}.safetensors")
    model = open_float32(path)
    assert settings(model.pipeline) == ("epsilon", False)
    assert [told in note for note in model.notes] == ([True] if told else [])
    by_user = open_checkpoint(path, device="cpu", dtype=torch.float32, prediction="v")
    assert settings(by_user.pipeline) == ("v_prediction", False)
    assert by_user.notes == (), "the user has said it"

    def mark(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update(v_pred=torch.zeros(0))

    says_so = rewrite_checkpoint(tiny_checkpoint, tmp_path, mark, path.name)
    assert open_float32(says_so).notes == ()


@pytest.mark.parametrize("kind", ["sample", "x0", "flow_prediction"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_what_predicts_neither_the_noise_nor_v_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, kind: str, is_folder: bool
) -> None:
    """Its pictures would be nothing but noise."""
    path = rewrite_checkpoint(
        tiny_checkpoint, tmp_path, lambda tensors: None, **{"modelspec.prediction_type": kind}
    )
    if is_folder:
        path = tmp_path / "folder"
        open_float32(tiny_checkpoint).pipeline.save_pretrained(path)
        config = path / "scheduler/scheduler_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "prediction_type": kind}))
    for function in (check_checkpoint, open_float32):
        with pytest.raises(CheckpointError, match=f"say that it predicts {kind}, which"):
            function(path)
    model = open_checkpoint(path, device="cpu", dtype=torch.float32, prediction="v")
    assert settings(model.pipeline) == ("v_prediction", False)


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ("epsilon", ("epsilon", False)),
        ("v", ("v_prediction", False)),
        ("v-zsnr", ("v_prediction", True)),
        (None, ("v_prediction", True)),
    ],
)
@pytest.mark.parametrize("is_folder", [False, True])
def test_the_user_goes_before_all(
    tiny_checkpoint: Path,
    tmp_path: Path,
    prediction: Prediction | None,
    expected: tuple[str, bool],
    is_folder: bool,
) -> None:
    def mark(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update(v_pred=torch.zeros(0), ztsnr=torch.zeros(0))

    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, mark)
    if is_folder:
        open_float32(path).pipeline.save_pretrained(tmp_path / "folder")
        path = tmp_path / "folder"
    model = open_checkpoint(path, device="cpu", dtype=torch.float32, prediction=prediction)
    assert settings(model.pipeline) == expected
