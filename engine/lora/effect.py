"""What a LoRA does, told from its factors: how much it changes each block, how alike two are.

No weight of a model is needed and no full delta is made of low-rank factors: the length of
`up @ down` follows from the small products `up.T @ up` and `down @ down.T`, and the dot product of
two LoRAs from `up_1.T @ up_2` and `down_1 @ down_2.T`. Works without PyTorch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import FileFormatError
from engine.files.header import TensorInfo, parse_header, raw_header
from engine.files.regular_file import open_regular, unreadable
from engine.lora.key_names import Module, group_modules, part_of
from engine.lora.unet_names import block_of, original_name

Matrix = npt.NDArray[np.float64]

_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_DEPENDING = frozenset({"dora_scale", "magnitude", "oft_blocks", "oft_R", "boft_R", "hra_u",
                        "on_input", "ia3_l", "hira_A", "hira_B", "singular", "lambda_layer",
                        "a1", "b1"})  # fmt: skip
"""Roles of families whose change follows from the model's weights, or from more than factors."""


_MAX_ENTRIES = 32_000_000
"""Of a change that has to be made whole: twice the largest weight of SDXL."""


@dataclass(frozen=True)
class Effect:
    """How much a LoRA changes what, at strength 1."""

    blocks: tuple[tuple[str, float], ...]
    """Names such as `TE1`, `IN04`, `MID`, `OUT00`, each with its share of the squared length."""
    length: float
    """The Frobenius norm of its whole change."""
    modules: int
    left_out: int
    """Modules whose change cannot be told without the model's weights."""


@dataclass(frozen=True)
class Likeness:
    """How alike two LoRAs are where both change something."""

    cosine: float
    """1: they pull the same way, 0: they have nothing to do with each other, -1: opposites."""
    shared: int
    """Modules that both change."""


@dataclass(frozen=True)
class _Delta:
    """The change of one module: `left @ right`, or a matrix as it is, or two of them crosswise."""

    left: Matrix
    right: Matrix | None
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Of the change as a matrix."""
        return self.left.shape[0], (self.left if self.right is None else self.right).shape[1]

    def dot(self, other: _Delta) -> float:
        """The sum of the products of all entries."""
        if self.right is None or other.right is None:
            return float(np.vdot(self.whole, other.whole))
        left, right = self.left.T @ other.left, self.right @ other.right.T
        return float(np.vdot(left, right)) * self.scale * other.scale

    @property
    def whole(self) -> Matrix:
        """The change itself. Raises ValueError where it would be larger than any of SDXL's."""
        if self.right is not None:
            _bound(self.left.shape[0], self.right.shape[1])
        full = self.left if self.right is None else self.left @ self.right
        return full * self.scale


def effect_of(path: Path) -> Effect:
    """Work out what a LoRA does. Raises `FileFormatError` where it cannot be read."""
    squares: dict[str, float] = {}
    told = left_out = 0
    with _Tensors(path) as tensors:
        for name, module in tensors.modules.items():
            delta = tensors.delta(module)
            if delta is None:
                left_out += 1
                continue
            square = delta.dot(delta)
            if not math.isfinite(square):
                left_out += 1
                continue
            told += 1
            block = _block(name)
            squares[block] = squares.get(block, 0.0) + square
    total = sum(squares.values())
    shares = {block: square / total if total else 0.0 for block, square in squares.items()}
    ordered = sorted(shares.items(), key=lambda item: _place(item[0]))
    return Effect(tuple(ordered), math.sqrt(total), told, left_out)


def likeness(one: Path, other: Path) -> Likeness:
    """Compare two LoRAs on the modules that both change, at strength 1 each.

    Raises `FileFormatError` where one cannot be read.
    """
    dot = first = second = 0.0
    shared = 0
    with _Tensors(one) as mine, _Tensors(other) as theirs:
        others = {_canonical(name): module for name, module in theirs.modules.items()}
        for name, module in mine.modules.items():
            if (match := others.get(_canonical(name))) is None:
                continue
            a, b = mine.delta(module), theirs.delta(match)
            if a is None or b is None or a.shape != b.shape:
                continue
            products = a.dot(b), a.dot(a), b.dot(b)
            if all(map(math.isfinite, products)):
                shared += 1
                dot, first, second = dot + products[0], first + products[1], second + products[2]
    length = math.sqrt(first * second)
    return Likeness(dot / length if length else 0.0, shared)


class _Tensors:
    """A file's tensors in float64, read when they are asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Tensors:
        self._file = open_regular(self._path)
        try:
            header = parse_header(raw_header(self._path, self._file.fileno()))
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise unreadable(self._path, error) from error
            raise
        self.modules = group_modules(header.tensors)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def delta(self, module: Module) -> _Delta | None:
        """The change of a module; None where its factors alone do not tell it."""
        roles = module.tensors
        if roles.keys() & _DEPENDING:
            return None
        arrays = {role: self._array(info) for role, info in roles.items()}
        if any(array is None for array in arrays.values()):
            return None
        try:
            return _delta({role: array for role, array in arrays.items() if array is not None})
        except (ValueError, IndexError, KeyError):
            # A stranger's shapes that do not go together: a switch to it says so.
            return None

    def _array(self, info: TensorInfo) -> Matrix | None:
        # Not mapped: a file that is cut off meanwhile would end the process.
        try:
            raw = os.pread(self._file.fileno(), info.nbytes, info.start)
        except OSError as error:
            raise unreadable(self._path, error) from error
        if len(raw) != info.nbytes:
            raise FileFormatError(f"{self._path.name}: it became shorter while it was read.")
        if info.dtype == "BF16":
            # A bfloat16 is the upper half of a float32.
            halves = np.frombuffer(raw, "<u2").astype("<u4") << 16
            found: npt.NDArray[Any] = halves.view("<f4")
        elif info.dtype in _DTYPES:
            found = np.frombuffer(raw, _DTYPES[info.dtype])
        else:
            return None
        return found.reshape(info.shape).astype(np.float64)


def _delta(roles: Mapping[str, Matrix]) -> _Delta | None:
    if "up" in roles and "down" in roles:
        up, down = roles["up"], roles["down"]
        scale = _scale(roles, down.shape[0])
        if "mid" in roles:
            # [out, r] x [r, r, h, w] x [r, in] of a convolution in Tucker's form.
            middle = np.einsum("mnhw,ni->mihw", roles["mid"], _flat(down))
            return _Delta(_flat(up), middle.reshape(middle.shape[0], -1), scale)
        up, down = _flat(up), _flat(down)
        return _Delta(up, down, scale) if up.shape[1] == down.shape[0] else None
    if "diff" in roles:
        return _Delta(_flat(roles["diff"]), None, 1.0)
    if "hada_w1_a" in roles and "hada_t1" not in roles and len(roles) >= 4:
        scale = _scale(roles, roles["hada_w1_b"].shape[0])
        _bound(roles["hada_w1_a"].shape[0], roles["hada_w1_b"].shape[1])
        one = roles["hada_w1_a"] @ roles["hada_w1_b"]
        return _Delta(one * (roles["hada_w2_a"] @ roles["hada_w2_b"]), None, scale)
    if any(role.startswith("lokr_") for role in roles) and "lokr_t2" not in roles:
        return _kronecker(roles)
    return None


def _kronecker(roles: Mapping[str, Matrix]) -> _Delta | None:
    rank, factors = 0, []
    for name in ("lokr_w1", "lokr_w2"):
        if name in roles:
            factors.append(_flat(roles[name]))
        elif f"{name}_a" in roles and f"{name}_b" in roles:
            rank = roles[f"{name}_b"].shape[0]
            factors.append(roles[f"{name}_a"] @ _flat(roles[f"{name}_b"]))
        else:
            return None
    _bound(factors[0].size, factors[1].size)
    whole = np.kron(*factors).astype(np.float64)
    return _Delta(whole, None, _scale(roles, rank) if rank else 1.0)


def _bound(rows: int, columns: int) -> None:
    if rows * columns > _MAX_ENTRIES:
        raise ValueError("larger than any weight")


def _scale(roles: Mapping[str, Matrix], rank: int) -> float:
    """alpha / rank, or 1 where alpha is absent or 0; a `scale` replaces both."""
    if "scale" in roles and roles["scale"].size:
        return float(roles["scale"].flat[0])
    alpha = float(roles["alpha"].flat[0]) if "alpha" in roles and roles["alpha"].size else 0.0
    return alpha / rank if alpha and rank else 1.0


def _flat(factor: Matrix) -> Matrix:
    """A convolution's factor as a matrix of [outputs, everything else]."""
    return factor.reshape(factor.shape[0], -1) if factor.ndim > 2 else np.atleast_2d(factor)


def _block(name: str) -> str:
    part = part_of(name)
    return part if part not in ("", "UNet") else block_of(original_name(name))


def _canonical(name: str) -> str:
    part = part_of(name)
    if part in ("", "UNet"):
        return original_name(name)
    start = name.find("text_model")
    return f"{part} {name[max(0, start) :].replace('.', '_')}"


def _place(block: str) -> tuple[int, str]:
    order = ("TE1", "TE2", "TE3", "IN", "MID", "OUT")
    return next((n for n, start in enumerate(order) if block.startswith(start)), len(order)), block
