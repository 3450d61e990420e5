"""The key names of LoRA files: which tensor plays which role in which module.

Names come from kohya sd-scripts, LyCORIS, PEFT and diffusers; only endings are looked at here, so
modules of any model are grouped. Mapping them to a model's own modules is another subject.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.files.header import TensorInfo

_ROLE = re.compile(
    r"""(?:
      \.lora_(?P<lora>up|down|mid)\.weight
    | \.lora_(?:up|down|mid|[AB])(?:\.[^.]+)?\.(?P<quantized>weight_scale|scale_weight)
    | \.lora_(?P<peft>[ABE])(?:\.weight|\.[^.]+\.weight|\.(?!bias$)[^.]+)?
    | \.lora_(?P<tokens>embedding_[AB])(?:\.[^.]+)?
    | \.lora_(?P<peft_alpha>alpha)(?:\.[^.]+)?
    | \.(?P<peft_bias>lora_B)(?:\.[^.]+)?\.bias
    | \.lora\.(?P<old>up|down)\.weight
    | \.lora_linear_layer\.(?P<text>up|down)\.weight
    | \.(?P<plain>oft_blocks | oft_diag | on_input | diff | diff_b | w_norm | b_norm | set_weight
        | dora_scale | alpha | scale | rescale | magnitude | bias_(?:indices|values|size)
        | lambda_layer | base_(?:p|q|lambda) | initial_norm | dora_multiplier)
    | \.(?P<named>hada_(?:w[12]_[ab]|t[12]) | lokr_(?:w[12](?:_[ab])?|t[12])
        | hira_(?:embedding_)?[AB] | hra_u | ia3_l | boft_[Rs])(?:\.[^.]+)?
    | \.(?P<weighted>[ab][12]|bm|[pq]_layer)\.weight
    | \.oft_R(?:\.[^.]+)?\.(?P<scaled>scaled_oft)
    | \.(?P<vector>lora_magnitude_vector|oft_R)(?:\.weight|\.[^.]+\.weight|\.[^.]+)?
    | \.(?P<bare>weight)
    )$""",
    re.VERBOSE,
)

_SAME_ROLE = {"A": "down", "B": "up", "E": "singular", "oft_diag": "oft_blocks",
              "lora_B": "up_bias", "scale_weight": "weight_scale",
              "lora_magnitude_vector": "magnitude"}  # fmt: skip

_WEAK_ROLES = frozenset({"alpha", "constraint", "scale", "rescale", "dora_scale", "magnitude",
                         "bias_indices", "bias_values", "bias_size", "up_bias", "scaled_oft",
                         "weight_scale",
                         "weight", "singular", "boft_s", "initial_norm", "dora_multiplier",
                         "p_layer", "q_layer", "base_p", "base_q", "base_lambda"})  # fmt: skip
"""Roles that say nothing alone: they only go with another one."""

_EMBEDDING = re.compile(
    r"""bundle_emb\.(?P<name>.+?)\.(?:(?P<role>clip_[lg](?:_out)?|emb_params)|string_to_param\..+)
    | (?P<alone>clip_[lg](?:_out)?|text_encoders_[01])""",
    re.DOTALL | re.VERBOSE,
)
"""Textual inversions in a LoRA's file: bundled by name, or one that pivotal tuning made with it."""

_PART_STARTS = (
    ("UNet", ("lora_unet_", "lora_unet.", "oft_unet_", "unet.", "diffusion_model.")),
    ("TE1", ("lora_te1_", "lora_te_", "lora_te1.", "lora_te.", "oft_te1_", "oft_te_",
             "text_encoder.", "clip_l.", "text_encoders.clip_l.")),
    ("TE2", ("lora_te2_", "lora_te2.", "oft_te2_", "text_encoder_2.", "clip_g.",
             "text_encoders.clip_g.")),
    ("TE3", ("lora_te3_", "lora_te3.", "text_encoder_3.", "t5xxl.")),
    ("Transformer", ("transformer.", "lora_transformer_", "lora_transformer.")),
    ("TE1", ("lycoris_text_model", "lycoris_encoder_layers_", "text_model",
             "base_model.model.text_model.", "base_model.model.encoder.layers.")),
    ("UNet", ("lycoris_", "base_model.model.", "down_blocks.", "mid_block.", "up_blocks.",
              "input_blocks.", "middle_block.", "output_blocks.")),
)  # fmt: skip


_TELLING_ROLES = (
    ("singular", "AdaLoRA"),
    ("lambda_layer", "T-LoRA"),
    ("embedding_A", "LoRA"),
    ("hira_A", "HiRA"),
    ("hira_embedding_A", "HiRA"),
    ("hra_u", "HRA"),
    ("ia3_l", "IA3"),
    ("boft_R", "BOFT"),
)
"""Roles that one family alone has, and the family."""


_FACTORS = ("up", "down", "mid", "hada_", "lokr_", "hira_", "embedding_", "singular", "p_layer",
            "q_layer", "lambda_layer", "base_", "alpha", "scale")  # fmt: skip
"""How the roles begin of tensors that change nothing where there is no rank between them."""

WRAPPERS = r"(?:state_dict|pipe|pipeline|model|base_model\.model|_orig_mod|module)\."
"""What trainers keep a model in, and what PEFT, torch.compile and distributed training put around
it: a pattern of what stands before a name."""

_INNER = re.compile(r"(?:[._]base_layer)+$", re.MULTILINE)
"""What PEFT calls a module inside an adapter, be it the model's own or another adapter."""


@dataclass
class Module:
    """The tensors of one adapted module, by their role."""

    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """What the file calls each of them."""
    adapter: str = ""
    """The name that PEFT gave the adapter, where the keys have it."""

    def is_of_another(self, adapter: str) -> bool:
        """Whether its tensors are known to belong to another adapter of PEFT."""
        return bool(self.adapter and adapter) and self.adapter != adapter

    @property
    def alpha(self) -> TensorInfo | None:
        """Where its alpha lies."""
        return self.tensors.get("alpha")

    @property
    def family(self) -> str:
        """The adapter family by its usual name; weight-decomposed ones are `DoRA (LoRA)`."""
        family = self._plain_family()
        lengths = {"dora_scale", "magnitude", "dora_multiplier"}
        return f"DoRA ({family})" if self.tensors.keys() & lengths else family

    def _plain_family(self) -> str:
        roles = self.tensors
        for telling, name in _TELLING_ROLES:
            if telling in roles:
                return name
        if "up" in roles and "down" in roles:
            kernel = roles["down"].shape[2:]
            return "LoCon" if "mid" in roles or any(side > 1 for side in kernel) else "LoRA"
        if any(role.startswith("hada_") for role in roles):
            return "LoHa"
        if any(role.startswith("lokr_") for role in roles):
            return "LoKr"
        if "a1" in roles and "b1" in roles:
            return "GLoRA"
        if "oft_blocks" in roles:
            return "BOFT" if len(roles["oft_blocks"].shape) == 4 else "OFT"
        if "oft_R" in roles:
            return "OFT"
        if "on_input" in roles:
            return "IA3"
        if "diff" in roles or "diff_b" in roles:
            return "Full"
        if "w_norm" in roles or "b_norm" in roles:
            return "Norm"
        return "Set" if "set_weight" in roles else "incomplete"

    @property
    def rank(self) -> int | None:
        """The rank of its factors; None for families without one."""
        for role in ("down", "hada_w1_b", "lokr_w2_b", "lokr_w1_b", "q_layer", "embedding_A",
                     "hira_A", "hira_embedding_A"):  # fmt: skip
            if role in self.tensors and self.tensors[role].shape:
                return self.tensors[role].shape[0]
        if "b1" in self.tensors and self.tensors["b1"].shape:
            return min(self.tensors["b1"].shape)
        return None

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing, whatever its values are: it has factors alone, of rank 0."""
        return self.rank == 0 and all(role.startswith(_FACTORS) for role in self.tensors)

    @property
    def input_width(self) -> int | None:
        """Columns of the weight it changes, where the shapes tell."""
        shapes = {role: info.shape for role, info in self.tensors.items() if len(info.shape) >= 2}
        for role in ("down", "diff", "set_weight", "q_layer", "hira_A"):
            if role in shapes:
                return shapes[role][1]
        if "hada_w1_b" in shapes and "hada_t1" not in self.tensors:
            return shapes["hada_w1_b"][1]
        if "a1" in shapes:
            return max(shapes["a1"])
        left = shapes.get("lokr_w1") or shapes.get("lokr_w1_b")
        right = shapes.get("lokr_w2") or shapes.get("lokr_w2_b")
        return left[1] * right[1] if left and right and "lokr_t2" not in self.tensors else None


@dataclass(frozen=True)
class Keys:
    """A file's tensors sorted by what their names say."""

    modules: dict[str, Module]
    """Adapted modules by the names the file gives them."""
    embeddings: Mapping[str, Mapping[str, TensorInfo]]
    """Bundled textual inversions: name (empty: the file's) -> `clip_l`, `clip_g`, ... -> tensor."""
    unknown: tuple[str, ...]
    """Keys that are neither."""


def sort_keys(tensors: Mapping[str, TensorInfo]) -> Keys:
    """Sort a file's tensors into adapted modules, bundled textual inversions and the rest."""
    modules: dict[str, Module] = {}
    embeddings: dict[str, dict[str, TensorInfo]] = {}
    unknown = []
    for written, info in tensors.items():
        embedding = _EMBEDDING.fullmatch(written)
        if embedding:
            role = embedding["role"] or embedding["alone"] or "emb_params"
            embeddings.setdefault(embedding["name"] or "", {})[role] = info
            continue
        name, role, adapter = _module_role_adapter(written)
        module = modules.setdefault(name, Module()) if role else None
        # The factors of two adapters of PEFT for one module do not go together: the first counts.
        if module is None or module.is_of_another(adapter) or role in module.tensors:
            unknown.append(written)
            continue
        module.adapter = module.adapter or adapter
        module.tensors[role] = info
        module.keys[role] = written
    weak = [name for name, module in modules.items() if module.tensors.keys() <= _WEAK_ROLES]
    for name in weak:
        unknown += modules.pop(name).keys.values()
    return Keys(modules, embeddings, tuple(unknown))


def group_modules(tensors: Mapping[str, TensorInfo]) -> dict[str, Module]:
    """Group a file's tensors by the module they adapt; empty when the file holds no adapter."""
    return sort_keys(tensors).modules


def _module_role_adapter(written: str) -> tuple[str, str, str]:
    """Split a key into the module's name, the tensor's role and PEFT's name of the adapter.

    The last two are empty where it has none.
    """
    # diffusers once wrote `to_q_lora.down.weight` for `to_q.lora.down.weight`.
    key = written.replace("_lora.", ".lora.")
    # No role has more than three dots. A name may have hundreds, and each would be tried.
    start = len(key.rsplit(".", 4)[0]) if key.count(".") > 3 else 0
    match = _ROLE.search(key, start)
    if not match or not match.start():
        return written, "", ""
    found = match[match.lastgroup or 0]
    name = key[: match.start()]
    behind = key[match.end(match.lastgroup or 0) :].strip(".")
    adapter = behind.removesuffix("weight").removesuffix("bias").strip(".")
    if found == "alpha" and name.startswith("oft_"):
        # sd-scripts' own OFT calls its constraint so; it reads 0 otherwise than LyCORIS does.
        found = "constraint"
    return name, _SAME_ROLE.get(found, found), adapter


def outermost(names: str) -> str:
    """Names of modules, one a line, without what tells that they lie inside an adapter of PEFT."""
    return _INNER.sub("", names) if "base_layer" in names else names


def part_of(module: str) -> str:
    """Which part of a model a module belongs to: `UNet`, `TE1`, `TE2`, ...; empty when unclear."""
    return next((part for part, starts in _PART_STARTS if module.startswith(starts)), "")
