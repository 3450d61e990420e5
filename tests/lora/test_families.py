"""Adapter families by their formulas in float64; whole files are compared in tests/switch."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.lora.families import (
    Reads,
    ShapeMismatchError,
    build_bias,
    build_weight,
    damage,
)
from engine.lora.families.tlora import BEGINNINGS, RANDOM

OUT, IN, RANK = 12, 8, 2


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def delta(
    tensors: dict[str, torch.Tensor], base: torch.Tensor, strength: float = 1.0
) -> torch.Tensor:
    adapter = build_weight(tensors, base.shape)
    assert adapter is not None
    adapter.check(base.shape)
    return adapter.delta(base, strength)


def lora() -> dict[str, torch.Tensor]:
    return {"up": random(OUT, RANK), "down": random(RANK, IN)}


BASE = random(OUT, IN, seed=1)
PRODUCT = lora()["up"] @ lora()["down"]


@pytest.mark.parametrize(
    ("numbers", "scale"),
    [
        ({}, 1.0),
        ({"alpha": 1.0}, 0.5),
        ({"alpha": 0.0}, 1.0),
        ({"scale": 0.3}, 0.3),
        ({"scale": 0.3, "alpha": 1.0}, 0.3),
    ],
)
def test_scale_of_a_lora(numbers: dict[str, float], scale: float) -> None:
    tensors = lora() | {name: number(value) for name, value in numbers.items()}
    torch.testing.assert_close(delta(tensors, BASE, 0.5), 0.5 * scale * PRODUCT)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16])
def test_narrow_tensors_are_widened_first(dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in lora().items()}
    exact = tensors["up"].double() @ tensors["down"].double()
    found = delta(tensors, BASE.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-6)


def test_lora_of_a_1x1_convolution_fits_a_linear_layer_and_the_other_way_round() -> None:
    wide = {name: tensor[:, :, None, None] for name, tensor in lora().items()}
    torch.testing.assert_close(delta(wide, BASE), PRODUCT)
    conv = BASE[:, :, None, None]
    torch.testing.assert_close(delta(lora(), conv), PRODUCT[:, :, None, None])


def test_glora_in_both_layouts() -> None:
    a1, a2, b1, b2 = random(IN, RANK), random(RANK, IN), random(OUT, RANK), random(RANK, IN, seed=2)
    exact = 0.5 * (b1 @ b2 + BASE @ a1 @ a2)
    new = {"a1": a1, "a2": a2, "b1": b1, "b2": b2, "alpha": number(1.0)}
    old = {"a1": a2, "a2": a1, "b1": b2, "b2": b1, "alpha": number(1.0)}
    torch.testing.assert_close(delta(new, BASE), exact)
    torch.testing.assert_close(delta(old, BASE), exact)
    torch.testing.assert_close(delta(new | {"rs_lora": number(1)}, BASE), exact * RANK**0.5)
    square = random(IN, IN)
    new["b1"] = old["b2"] = b1[:IN]
    torch.testing.assert_close(delta(new, square), delta(old, square))


def sd_scripts_oft(
    blocks: torch.Tensor, alpha: float, base: torch.Tensor, strength: float
) -> torch.Tensor:
    """The formula of sd-scripts' networks/oft.py, for a linear layer."""
    q = blocks - blocks.transpose(1, 2)
    norm = torch.norm(q.flatten())
    q = q * ((torch.clamp(norm, max=alpha * base.shape[0]) + 1e-8) / (norm + 1e-8))
    one = torch.eye(blocks.shape[1], dtype=blocks.dtype)
    rotation = strength * ((one + q) @ (one - q).inverse() - one) + one
    rows = base.reshape(blocks.shape[0], blocks.shape[1], -1)
    return torch.einsum("knm,knp->kmp", rotation, rows).reshape(base.shape) - base


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 0.05, 10.0])
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_constraint_of_sd_scripts_oft_holds_at_zero_too(alpha: float, strength: float) -> None:
    blocks = random(3, 4, 4)
    exact = sd_scripts_oft(blocks, alpha, BASE, strength)
    found = delta({"oft_blocks": blocks, "constraint": number(alpha)}, BASE, strength)
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-6)
    if alpha == 0.0:
        free = delta({"oft_blocks": blocks, "alpha": number(alpha)}, BASE, strength)
        assert free.norm() > 1 > found.norm()


def test_rotations_keep_the_length_of_the_weight() -> None:
    for tensors in ({"oft_blocks": random(4, 4, 4)}, {"oft_blocks": random(3, 4, 4, 4)}):
        base = random(16, 5)
        turned = base + delta(tensors, base)
        torch.testing.assert_close(turned.norm(dim=0), base.norm(dim=0))
    exact = {"oft_R": random(2, 6), "neumann_terms": number(0)}
    torch.testing.assert_close((BASE + delta(exact, BASE)).norm(dim=1), BASE.norm(dim=1))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((8, 1), 0), ((8,), 0), ((1, 8), 1), ((8, 1, 1, 1), 0), ((1, 8, 1, 1), 1)],
)
def test_axis_of_dora_on_square_weights(shape: tuple[int, ...], axis: int) -> None:
    base = random(8, 8, 3, 3) if len(shape) == 4 else random(8, 8)
    tensors = {"up": random(8, RANK), "down": random(RANK, base[0].numel())}
    lengths = random(8).abs() + 1
    found = base + delta(tensors | {"dora_scale": lengths.reshape(shape)}, base)
    others = [d for d in range(base.dim()) if d != axis]
    torch.testing.assert_close(found.pow(2).sum(dim=others).sqrt(), lengths)


def test_peft_magnitudes_of_convolutions_are_those_of_rows() -> None:
    base, lengths = random(8, 8, 3, 3), random(8).abs() + 1
    tensors = {"up": random(8, RANK), "down": random(RANK, 72)}
    found = base + delta(tensors | {"magnitude": lengths.reshape(1, 8, 1, 1)}, base)
    torch.testing.assert_close(found.flatten(1).norm(dim=1), lengths)


def test_dora_goes_straight_from_the_base() -> None:
    tensors = lora() | {"dora_scale": random(OUT, 1).abs()}
    whole = delta(tensors, BASE)
    torch.testing.assert_close(delta(tensors, BASE, 0.25), 0.25 * whole)
    assert not delta(tensors, BASE, 0.0).any()


def test_replacement_ignores_the_strength() -> None:
    wanted = random(OUT, IN, seed=5)
    for strength in (1.0, 0.1, -2.0):
        found = BASE + delta({"set_weight": wanted}, BASE, strength)
        torch.testing.assert_close(found, wanted)


def test_differences_of_weights_norms_and_biases() -> None:
    change = random(OUT, IN, seed=6)
    torch.testing.assert_close(delta({"diff": change}, BASE, -0.5), -0.5 * change)
    norm = random(OUT)
    torch.testing.assert_close(delta({"w_norm": norm}, random(OUT), 2.0), 2 * norm)
    for role in ("diff_b", "b_norm"):
        bias = build_bias({role: norm, **lora()}, BASE.shape)
        assert bias is not None
        torch.testing.assert_close(bias.delta(random(OUT), 2.0), 2 * norm)
    of_up = build_bias({"up_bias": norm, **lora(), "alpha": number(1.0)}, BASE.shape)
    assert of_up is not None
    torch.testing.assert_close(of_up.delta(random(OUT), 2.0), norm)
    assert build_bias(lora(), BASE.shape) is None


def sparse(indices: list[list[int]], size: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {
        "bias_indices": torch.tensor(indices, dtype=torch.int16),
        "bias_values": torch.arange(1.0, len(indices[0]) + 1),
        "bias_size": torch.tensor(size, dtype=torch.int16),
    }


def test_sparse_residual_is_added_to_the_weight() -> None:
    found = delta(lora() | sparse([[0, 11, 11], [7, 0, 7]], (OUT, IN)), BASE, 2.0)
    expected = 2 * PRODUCT
    expected[0, 7] += 2
    expected[11, 0] += 4
    expected[11, 7] += 6
    torch.testing.assert_close(found, expected)
    # A convolution's residual is stored with its kernel flattened.
    conv = BASE.reshape(OUT, 2, 2, 2)
    tensors = lora() | sparse([[0, 11, 11], [7, 0, 7]], (OUT, IN))
    torch.testing.assert_close(delta(tensors, conv, 2.0), expected.reshape(conv.shape))


@pytest.mark.parametrize(
    "residual",
    [
        sparse([[0, 12], [0, 0]], (OUT, IN)),
        sparse([[0, -1], [0, 0]], (OUT, IN)),
        sparse([[0, 1], [0, 0]], (IN, OUT)),
        sparse([[0, 1]], (OUT, IN)),
        sparse([[0, 1], [0, 0]], (-OUT, -IN)),
    ],
)
def test_sparse_residuals_beyond_the_weight_are_refused(residual: dict[str, torch.Tensor]) -> None:
    adapter = build_weight(lora() | residual, BASE.shape)
    assert adapter is not None
    with pytest.raises(ShapeMismatchError):
        adapter.check(BASE.shape)


def test_ia3_of_a_header_alone_fits_either_side() -> None:
    for count, fits in ((OUT, True), (IN, True), (OUT + 1, False)):
        tensors = {"weight": torch.empty(count), "on_input": torch.empty(())}
        adapter = build_weight({k: t.to("meta") for k, t in tensors.items()}, BASE.shape)
        assert adapter is not None
        if fits:
            adapter.check(BASE.shape)
        else:
            with pytest.raises(ShapeMismatchError):
                adapter.check(BASE.shape)


def neumann(skew: torch.Tensor) -> torch.Tensor:
    """OneTrainer's and PEFT's five terms."""
    one = torch.eye(skew.shape[-1], dtype=torch.float64)
    return one + 2 * skew + 2 * skew @ skew + 2 * skew @ skew @ skew + skew @ skew @ skew @ skew


def one_trainer_oft(
    triangles: torch.Tensor, base: torch.Tensor, divisor: float, *, kernels: bool
) -> torch.Tensor:
    """The change by its formula: inputs are turned, x R; the weights of convolutions are, W R."""
    size = (1 + math.isqrt(1 + 8 * triangles.shape[1])) // 2
    skew = torch.zeros(triangles.shape[0], size, size, dtype=torch.float64)
    rows, columns = torch.triu_indices(size, size, 1)
    skew[:, rows, columns] = triangles / divisor
    turn = neumann(skew - skew.transpose(1, 2))
    blocks = base.flatten(1).reshape(base.shape[0], -1, size)
    turn = turn.expand(blocks.shape[1], size, size)
    form = "onk,nkc->onc" if kernels else "onk,nck->onc"
    return torch.einsum(form, blocks, turn).reshape(base.shape) - base


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("shape", [(OUT, IN), (OUT, IN, 3, 3), (OUT, IN, 1, 1)])
def test_scaled_oft_of_one_trainer(shape: tuple[int, ...], shared: bool) -> None:
    base = random(*shape)
    triangles = 0.3 * random(1 if shared else base[0].numel() // 4, 6)
    flag = {"scaled_oft": torch.tensor(True), "one_trainer": number(1)}
    exact = one_trainer_oft(triangles, base, 2 * math.sqrt(3), kernels=len(shape) > 2)
    torch.testing.assert_close(delta({"oft_R": triangles} | flag, base), exact)
    torch.testing.assert_close(delta({"oft_R": triangles} | flag, base, -0.5), -0.5 * exact)
    for empty in (torch.zeros(0), torch.tensor(1), torch.tensor(1.0)):
        torch.testing.assert_close(
            delta({"oft_R": triangles, **flag, "scaled_oft": empty}, base), exact
        )
    plain = one_trainer_oft(triangles, base, 1, kernels=len(shape) > 2)
    for off in ({"one_trainer": number(1)}, flag | {"scaled_oft": torch.tensor(False)}):
        torch.testing.assert_close(delta({"oft_R": triangles} | off, base), plain)


def test_dora_of_rotations_keeps_the_lengths_of_before() -> None:
    triangles, lengths = 0.3 * random(2, 6), random(OUT, 1).abs() + 1
    tensors = {"oft_R": triangles, "scaled_oft": number(1)}
    turned = BASE + one_trainer_oft(triangles, BASE, 2 * math.sqrt(3), kernels=False)
    before = BASE.norm(dim=1, keepdim=True) * 1.5
    absolute = delta(tensors | {"dora_scale": lengths, "initial_norm": before}, BASE, 0.5)
    torch.testing.assert_close(absolute, 0.5 * (turned * lengths / before - BASE))
    relative = delta(tensors | {"dora_multiplier": lengths.flatten()}, BASE)
    torch.testing.assert_close(relative, turned * lengths - BASE)


def test_several_families_in_one_module_add_up() -> None:
    change, norm, whole = random(OUT, IN, seed=7), random(OUT, IN, seed=8), random(OUT, IN, seed=9)
    both = lora() | {"diff": change, "alpha": number(1.0)}
    torch.testing.assert_close(delta(both, BASE, 0.5), 0.5 * (0.5 * PRODUCT + change))
    three = both | {"w_norm": norm, "lokr_w1": random(4, 2), "lokr_w2": random(3, 4)}
    exact = 0.5 * PRODUCT + change + norm + torch.kron(random(4, 2), random(3, 4))
    torch.testing.assert_close(delta(three, BASE), exact)
    # A whole weight first, and then what is added to it.
    replaced = delta(lora() | {"set_weight": whole}, BASE, 0.5)
    torch.testing.assert_close(BASE + replaced, whole + 0.5 * PRODUCT)
    sparse_too = both | sparse([[0], [7]], (OUT, IN))
    exact = 0.5 * PRODUCT + change
    exact[0, 7] += 1
    torch.testing.assert_close(delta(sparse_too, BASE), exact)
    lengths = random(OUT, 1).abs() + 1
    turned = BASE + PRODUCT
    dora = turned * lengths / turned.norm(dim=1, keepdim=True) - BASE
    found = delta(lora() | {"dora_scale": lengths, "diff": change}, BASE)
    torch.testing.assert_close(found, dora + change)
    torch.testing.assert_close(
        delta({"oft_blocks": random(3, 4, 4), "diff": change}, BASE),
        delta({"oft_blocks": random(3, 4, 4)}, BASE) + change,
    )


def factors(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {role: random(*shape, seed=len(role)) for role, shape in shapes.items()}


LOHA = {"hada_w1_a": (OUT, RANK), "hada_w1_b": (RANK, IN),
        "hada_w2_a": (OUT, RANK), "hada_w2_b": (RANK, IN)}  # fmt: skip
TUCKER_LOHA = {"hada_w1_a": (RANK, OUT), "hada_w1_b": (RANK, IN), "hada_t1": (RANK, RANK, 3, 3),
               "hada_w2_a": (RANK, OUT), "hada_w2_b": (RANK, IN),
               "hada_t2": (RANK, RANK, 3, 3)}  # fmt: skip


@pytest.mark.parametrize(
    "tensors",
    [
        lora(),
        factors(up=(OUT, RANK), down=(RANK, IN), mid=(RANK, RANK, 3, 3)),
        factors(up=(OUT, RANK), down=(RANK, IN), singular=(RANK, 1)),
        factors(hira_B=(OUT, RANK), hira_A=(RANK, IN)),
        factors(**LOHA),
        factors(**TUCKER_LOHA),
        factors(lokr_w1=(3, 2), lokr_w2=(4, 4)),
        factors(lokr_w1=(3, 2), lokr_w2_a=(4, RANK), lokr_w2_b=(RANK, 4)),
        factors(diff=(OUT, IN)),
        factors(up=(OUT, RANK), down=(RANK, IN), diff=(OUT, IN)),
    ],
    ids=lambda tensors: " ".join(tensors),
)
def test_an_adapter_is_zero_where_it_changes_nothing(tensors: dict[str, torch.Tensor]) -> None:
    has_kernel = any(tensor.dim() == 4 for tensor in tensors.values())
    base = random(OUT, IN, 3, 3) if has_kernel else BASE
    told = set[bool]()
    for count in range(len(tensors) + 1):
        for roles in combinations(tensors, count):
            some = {r: t * 0 if r in roles else t for r, t in tensors.items()}
            adapter = build_weight(some, base.shape)
            assert adapter is not None
            changes_nothing = not adapter.delta(base, 1.0).any()
            assert adapter.is_zero == changes_nothing, roles
            told.add(changes_nothing)
    assert told == {False, True}


def test_several_biases_add_up() -> None:
    one, two = random(OUT), random(OUT, seed=3)
    bias = build_bias({"diff_b": one, "b_norm": two}, BASE.shape)
    assert bias is not None
    torch.testing.assert_close(bias.delta(random(OUT), 2.0), 2 * (one + two))


@pytest.mark.parametrize(
    ("tensors", "left"),
    [
        (lora(), ()),
        (lora() | {"alpha": number(1), "scale": number(1)}, ()),
        (lora() | {"diff": BASE}, ()),
        (lora() | {"diff": BASE, "diff_b": random(OUT), "dora_scale": random(OUT)}, ()),
        (lora() | sparse([[0], [7]], (OUT, IN)), ()),
        (lora() | {"bias_values": random(1)}, ("bias_values",)),
        (lora() | {"rescale": random(OUT)}, ("rescale",)),
        (lora() | {"weight": BASE}, ("weight",)),
        (lora() | {"hada_w1_a": BASE}, ("hada_w1_a",)),
        (lora() | {"magnitude": random(OUT), "dora_scale": random(OUT)}, ("dora_scale",)),
        ({"lokr_w1": BASE, "lokr_w1_a": BASE, "lokr_w2": BASE, "alpha": number(1)},
         ("lokr_w1_a",)),
        ({f"hada_{name}": BASE for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1")}, ("hada_t1",)),
        ({"oft_blocks": random(3, 4, 4), "rescale": random(OUT), "alpha": number(0)}, ()),
        ({"oft_blocks": random(3, 4, 4), "mid": BASE}, ("mid",)),
        ({"oft_R": random(2, 6), "scaled_oft": number(0)}, ()),
        ({"weight": random(IN), "on_input": number(1)}, ()),
        ({"p_layer": BASE, "q_layer": BASE, "lambda_layer": BASE, "base_p": BASE}, ("base_p",)),
    ],
)  # fmt: skip
def test_tensors_that_no_family_reads_are_left_over(
    tensors: dict[str, torch.Tensor], left: tuple[str, ...]
) -> None:
    for device in ("meta", "cpu"):
        reads = Reads({role: tensor.to(device) for role, tensor in tensors.items()})
        assert build_weight(reads, BASE.shape) is not None
        build_bias(reads, BASE.shape)
        assert reads.left_over == left


@pytest.mark.parametrize("role", ["alpha", "scale", "constraint", "on_input"])
def test_a_number_is_one_number(role: str) -> None:
    for shape in ((), (1,), (1, 1)):
        assert damage({role: torch.ones(shape)}) == ""
    for shape, words in (((0,), "0"), ((2,), "2"), ((1, 0), "1x0")):
        assert f"its {role} has the shape {words}," in damage({role: torch.ones(shape)})


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.bool, torch.complex64])
def test_factors_of_whole_numbers_are_no_factors(dtype: torch.dtype) -> None:
    """Raw numbers of a quantized file, taken as they are, would be a weight a hundred times off."""
    up = torch.ones(4, 2)
    assert "its down is" in damage({"up": up, "down": torch.ones(2, 4).to(dtype)})
    for fine in (torch.float8_e4m3fn, torch.float16, torch.bfloat16, torch.float64):
        assert damage({"up": up, "down": torch.ones(2, 4).to(fine)}) == ""
    numbers = {"alpha": torch.tensor(4), "bias_indices": torch.ones(2, 3).to(torch.int64)}
    assert damage({"up": up, **numbers}) == ""


def test_lora_of_token_embeddings_lies_crosswise() -> None:
    first, second = random(RANK, OUT), random(IN, RANK)
    tensors = {"embedding_A": first, "embedding_B": second, "alpha": number(1.0)}
    torch.testing.assert_close(delta(tensors, BASE), 0.5 * (second @ first).T)


@pytest.mark.parametrize("kind", ["principal", "last", "middle"])
@pytest.mark.parametrize("shape", [(12, 8), (8, 12), (8, 8), (12, 8, 1, 1)])
def test_tlora_is_measured_from_where_it_began(kind: str, shape: tuple[int, ...]) -> None:
    base = random(*shape)
    u, s, v = torch.linalg.svd(base.flatten(1), full_matrices=False)
    first = {"principal": 0, "last": len(s) - 3, "middle": (len(s) - 3) // 2}[kind]
    chosen = slice(first, first + 3)
    before = {"p": u[:, chosen], "lambda": s[None, chosen], "q": v[chosen]}
    names = {"p": "p_layer", "lambda": "lambda_layer", "q": "q_layer"}
    untrained = {names[name]: tensor for name, tensor in before.items()}
    began = {"began": number(BEGINNINGS[kind]), "alpha": number(1.5)}
    assert delta(untrained | began, base).abs().max() < 1e-12
    after = {name: random(*tensor.shape) for name, tensor in untrained.items()}
    p, values, q = (after[name] for name in names.values())
    old = (before["p"] * before["lambda"]) @ before["q"]
    exact = 0.5 * ((p * values) @ q - old).reshape(base.shape)
    torch.testing.assert_close(delta(after | began, base), exact)
    # A file that holds what it began with is believed.
    held = {f"base_{name}": 2 * tensor for name, tensor in before.items()}
    exact = 0.5 * ((p * values) @ q - 8 * old).reshape(base.shape)
    torch.testing.assert_close(delta(after | held | began, base), exact)


def test_tlora_that_began_with_random_numbers_is_refused() -> None:
    tensors = {"p_layer": random(OUT, 2), "lambda_layer": random(1, 2), "q_layer": random(2, IN)}
    adapter = build_weight(tensors | {"began": number(RANDOM)}, BASE.shape)
    assert adapter is not None
    with pytest.raises(ShapeMismatchError, match="began with random numbers"):
        adapter.check(BASE.shape)


_SIDES = st.lists(st.sampled_from([0, 1, 2, 3, 4, 6, 8, 12, 16]), max_size=4)
_ROLES = [
    ("up", "down"), ("up", "mid", "down"), ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
    ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"),
    ("lokr_w1", "lokr_w2"), ("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
    ("lokr_w1", "lokr_w2_a", "lokr_w2_b"), ("a1", "a2", "b1", "b2"), ("a1", "a2", "b1", "b2", "bm"),
    ("oft_blocks",), ("oft_blocks", "rescale"), ("oft_R",), ("weight", "on_input"), ("diff",),
    ("set_weight",), ("up", "down", "dora_scale"), ("diff", "magnitude"),
    ("up", "down", "bias_indices", "bias_values", "bias_size"), ("up", "singular", "down"),
    ("p_layer", "lambda_layer", "q_layer"), ("embedding_A", "embedding_B"), ("hra_u",),
    ("hra_u", "orthogonal"), ("hira_A", "hira_B"), ("hira_embedding_A", "hira_embedding_B"),
    ("ia3_l",), ("boft_R", "boft_s"), ("oft_R", "scaled_oft"), ("up", "down", "diff", "lokr_w1",
    "lokr_w2"), ("oft_R", "dora_scale", "initial_norm"), ("oft_R", "dora_multiplier"),
    ("p_layer", "lambda_layer", "q_layer", "base_p", "base_lambda", "base_q"),
]  # fmt: skip


@given(st.data())
@settings(max_examples=600)
def test_any_shapes_are_refused_or_work(data: st.DataObject) -> None:
    """No shape a stranger's file may have ends in another error than the one that is shown."""
    shape = torch.Size(data.draw(st.lists(st.sampled_from([1, 4, 8, 12]), min_size=1, max_size=4)))
    roles = data.draw(st.sampled_from(_ROLES))
    tensors = {role: torch.ones(data.draw(_SIDES)) for role in roles}
    tensors["alpha"] = torch.ones(data.draw(_SIDES))
    for device in ("meta", "cpu"):
        placed = {role: tensor.to(device) for role, tensor in tensors.items()}
        adapter = build_weight(placed, shape)
        if adapter is None:
            continue
        try:
            adapter.check(shape)
        except ShapeMismatchError:
            continue
        if device == "cpu":
            found = adapter.delta(torch.ones(shape), 0.5)
            assert (found.shape, found.dtype) == (shape, torch.float32)


def test_fitting_shapes_of_every_family_are_among_those_that_work() -> None:
    conv = random(OUT, IN, 3, 3)
    fitting: list[tuple[dict[str, torch.Tensor], torch.Tensor]] = [
        (lora(), BASE),
        ({"up": random(OUT, 2), "mid": random(2, 2, 3, 3), "down": random(2, IN)}, conv),
        ({"lokr_w1": random(3, 2), "lokr_w2": random(4, 4, 3, 3)}, conv),
        ({"oft_blocks": random(3, 4, 4), "rescale": random(OUT, 1, 1, 1)}, conv),
        ({"oft_blocks": random(2, 4, 4, 4)}, random(16, 5)),
        ({"oft_R": random(1, 3)}, random(4, 9)),
        ({"weight": random(1, IN, 1, 1), "on_input": number(1)}, conv),
    ]
    for tensors, base in fitting:
        assert delta(tensors, base).shape == base.shape
