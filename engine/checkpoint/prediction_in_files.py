"""Who says what a model predicts: its own file, or a configuration beside it.

Files say it by marker tensors or in their metadata; of a model whose file does not, a configuration
beside it may, as A1111 reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.errors import FileFormatError
from engine.files.header import Header
from engine.files.regular_file import printable, read_regular
from engine.sdxl.part_names import part_name
from engine.sdxl.prediction import Prediction

MAX_YAML_BYTES = 100_000
"""Ten times what Stability's own configurations take."""


class Found(NamedTuple):
    """What was found, None for nothing, and a sentence where the user should hear of it."""

    prediction: Prediction | None
    note: str = ""


def prediction_in(header: Header) -> Prediction | None:
    """What a checkpoint's own file says: marker tensors, or ModelSpec's metadata.

    See https://github.com/Stability-AI/ModelSpec. From pure noise the noise itself tells nothing,
    so that zero terminal SNR goes with v alone.
    """
    names = {part_name(name).name for name in header.tensors}
    said = _prediction(header.metadata.get("modelspec.prediction_type", ""))
    if "v_pred" in names or said == "v":
        return "v-zsnr" if "ztsnr" in names else "v"
    return said


_OTHERS = ("sample", "x0", "x_0", "x_start", "flow", "flow_prediction", "rectified_flow", "rf")
"""What other models than SDXL's predict, as files call it: the picture, or the way to it."""


def other_prediction_in(header: Header) -> str:
    """What a file says that its model predicts where that is neither the noise nor v."""
    word = header.metadata.get("modelspec.prediction_type", "").strip().lower().replace("-", "_")
    return word if word in _OTHERS else ""


_NAMED_X0 = re.compile(r"(?<![a-z0-9])x0(?![a-z0-9])", re.IGNORECASE)
_NAMED_V = re.compile(r"(?<![a-z])v[-_ ]?pred(?:iction)?(?![a-z])", re.IGNORECASE)


def prediction_beside(checkpoint: Path) -> Found:
    """What the YAML file beside a checkpoint says, which has the checkpoint's name.

    Without one, that name may speak of v or x0: that is no more than a word to the user.
    """
    for ending in (".yaml", ".yml"):
        path = checkpoint.with_suffix(ending)
        if path.exists():
            return _read_yaml(path)
    if _NAMED_V.search(checkpoint.stem):
        return Found(
            None,
            f"{printable(checkpoint.name)} predicts v by its name, which the file does not say: "
            "--prediction v (or v-zsnr) does.",
        )
    if _NAMED_X0.search(checkpoint.stem):
        return Found(
            None,
            f"{printable(checkpoint.name)} predicts the picture itself by its name (x0), which is "
            "not supported: its pictures would be noise.",
        )
    return Found(None)


def _read_yaml(path: Path) -> Found:
    try:
        text = read_regular(path, MAX_YAML_BYTES).decode("utf-8", errors="replace")
    except FileFormatError as error:
        return Found(None, f"{error} It may say what the model predicts; --prediction says it too.")
    words = dict(reversed(list(_settings(text))))  # the first of each counts
    said = _prediction(words.get("parameterization", ""))
    if said == "v" and words.get("zero snr"):
        said = "v-zsnr"
    if said in ("v", "v-zsnr"):
        return Found(said, f"{path.name} beside the model says that it predicts v.")
    return Found(said)


_NAMES = re.compile(r"(?:parameterization|prediction_type)[\"']?\s*:\s*[\"']?([\w-]{1,40})")
_SCALING = re.compile(r"denoiser_scaling\.(V|Eps)Scaling\b")
_ZERO_SNR = re.compile(
    r"(?:ztsnr|zsnr|zero_snr|zero_terminal_snr)[\"']?\s*:\s*[\"']?(?:true|yes|on|1)\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """The settings of a configuration that bear on the prediction.

    They are found line by line, in whatever structure they stand: nothing is built of a stranger's
    YAML.
    """
    for line in text.splitlines():
        bare = _COMMENT.sub("", line)
        if (match := _NAMES.search(bare)) or (match := _SCALING.search(bare)):
            yield "parameterization", match[1]
        elif _ZERO_SNR.search(bare):
            yield "zero snr", "true"


def _prediction(word: str) -> Prediction | None:
    word = word.strip().lower().replace("-", "_")
    if word in ("v", "v_prediction", "vpred", "v_pred", "velocity"):
        return "v"
    return "epsilon" if word in ("eps", "epsilon") else None
