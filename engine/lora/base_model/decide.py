"""Which base model a file is for: what its metadata says, weighed against its names and widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from engine.files.header import Header, TensorInfo
from engine.lora.base_model.claims import Claim, claimed, claimed_variant
from engine.lora.base_model.families import FAMILIES
from engine.lora.base_model.names import ModuleNames
from engine.lora.base_model.text_encoders import from_text_encoders, numbers_the_first
from engine.lora.base_model.unets import unets_with
from engine.lora.key_names import Module


class Base(NamedTuple):
    """A base model and what tells it."""

    name: str = ""
    """A family of the table, `Flux or Chroma`, or a word of the metadata; empty: not to be told."""
    evidence: str = ""
    """Why `name` says so, in words: `attn2 width 768`."""
    variant: str = ""
    """What people call this SDXL: `Pony`, `Illustrious`; empty where nothing tells."""


def base_of_file(header: Header, modules: Mapping[str, Module]) -> Base:
    """Name the base model of a file by its metadata, its modules' names and their widths.

    Without `modules` (a file that is no LoRA) those of its tensors count.
    """
    return weigh(header.metadata, base_by_names(header.tensors, modules), bool(modules))


def weigh(metadata: Mapping[str, str], shown: Base, is_lora: bool) -> Base:
    """Name the base model by a file's metadata and by what its names show (`base_by_names`).

    Metadata that names another model than SDXL is believed, unless the names are those of a third
    model alone, or those of a whole SDXL, which is no LoRA.
    """
    claim = claimed(metadata)
    if claim is None or (shown.name == "SDXL" and not is_lora):
        found = shown
    elif claim.family == "SDXL":
        found = _contradicted(shown, claim) if shown.name not in ("", "SDXL") else _quoted(claim)
    elif _is_third(shown.name, claim):
        found = _contradicted(shown, claim)
    else:
        found = _believed(claim, shown)
    if found.name != "SDXL":
        return found
    return found._replace(variant=claimed_variant(metadata))


def _quoted(claim: Claim) -> Base:
    return Base(claim.family, claim.source)


def _contradicted(shown: Base, claim: Claim) -> Base:
    return Base(shown.name, f"{shown.evidence}, although its metadata has {claim.source}")


def _believed(claim: Claim, shown: Base) -> Base:
    if not shown.name or _related(shown.name, claim.family):
        # Of "SD 3" and "SD 3.5" the longer name says more.
        longer = shown.name.startswith(claim.family) and " or " not in shown.name
        return Base(shown.name if longer else claim.family, claim.source)
    return Base(claim.family, f"{claim.source}, although its names are those of {shown.name}")


def _is_third(shown: str, claim: Claim) -> bool:
    """Whether names show a model alone that is neither SDXL nor the one that is claimed."""
    alone = shown not in ("", "SDXL") and " or " not in shown
    return claim.is_known and alone and not _related(shown, claim.family)


def _related(one: str, other: str) -> bool:
    return one in other or other in one


def base_by_names(tensors: Mapping[str, TensorInfo], modules: Mapping[str, Module]) -> Base:
    """The base model as the modules' names and widths show it, whatever metadata says.

    Without `modules` (a file that is no LoRA) those of its tensors count.
    """
    widths = _widths(tensors, modules)
    names = ModuleNames(widths)
    for family in FAMILIES:
        for mark in family.marks:
            example = names.first_with(mark)
            if example is not None:
                return Base(family.name, example[:90])
    return _stable_diffusion(modules, widths, names)


def _stable_diffusion(
    modules: Mapping[str, Module], widths: Mapping[str, int | None], names: ModuleNames
) -> Base:
    """Which Stable Diffusion has the UNet's modules, and which the text encoders' beside them."""
    bases, evidence = unets_with(names.widths)
    encoders = from_text_encoders(widths)
    both = tuple(name for name in bases if name in encoders.names)
    if not bases or (both and both != bases):
        bases, evidence = both or encoders.names, encoders.evidence
    elif "SDXL" in bases and len(bases) > 1 and numbers_the_first(widths):
        bases, evidence = ("SDXL",), "a numbered text encoder"
    if set(bases) == {"SD 1.5", "SD 2"}:
        bases = _by_projections(modules) or bases
    if "SDXL" in bases and len(bases) > 1:
        return Base()
    *others, last = bases or ("",)
    return Base(f"{', '.join(others)} or {last}" if others else last, evidence)


def _widths(
    tensors: Mapping[str, TensorInfo], modules: Mapping[str, Module]
) -> Mapping[str, int | None]:
    if modules:
        return {name: module.input_width for name, module in modules.items()}
    return {
        name.removesuffix(".weight"): info.shape[1] if len(info.shape) > 1 else None
        for name, info in tensors.items()
    }


def _by_projections(modules: Mapping[str, Module]) -> tuple[str, ...]:
    """Attentions begin with a 1x1 convolution in SD 1.5, and with a linear layer in SD 2."""
    for name, module in modules.items():
        if name.endswith(("proj_in", "proj_out")) and "down" in module.tensors:
            return ("SD 1.5",) if len(module.tensors["down"].shape) > 2 else ("SD 2",)
    return ()
