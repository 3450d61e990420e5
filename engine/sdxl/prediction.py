"""What a diffusion model predicts in each step: the noise (epsilon), or v.

A picture drawn by the wrong one is nothing but noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Prediction = Literal["epsilon", "v", "v-zsnr"]
"""`v-zsnr` is v at noise that ends in zero signal (zero terminal SNR, arXiv:2305.08891)."""
PredictionChoice = Literal["auto", "epsilon", "v", "v-zsnr"]
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)
PREDICTION_CHOICES: tuple[PredictionChoice, ...] = get_args(PredictionChoice)

PREDICTION_WORDS: Mapping[PredictionChoice, str] = {
    "auto": "predicts what its files say",
    "epsilon": "predicts the noise (epsilon)",
    "v": "predicts v",
    "v-zsnr": "predicts v, with zero terminal SNR",
}
"""Of a model, in words."""
