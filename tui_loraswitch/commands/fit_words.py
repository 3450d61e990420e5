"""How a LoRA fits a model, as fields to print and as plain data for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from engine.protocol.text import file_size, plural

if TYPE_CHECKING:
    from engine.switch.examine import Examination

_EXAMPLES = 3
_PARTS = {"unet": "UNet", "text_encoder": "TE1", "text_encoder_2": "TE2"}


def fit_fields(fit: Examination) -> Iterator[tuple[str, str]]:
    """Labels and values; empty ones are left out when printed."""
    report = fit.report
    if fit.refusal:
        yield "fits", f"no: {fit.refusal}{_hint(fit)}"
    elif report is not None:
        how_far = "yes" if report.matched == report.modules else "in part"
        counts = f"{report.matched:,} of {report.modules:,} modules"
        yield "fits", f"{how_far}: {counts} are in {fit.model}"
    yield "not finite", _counted_values(fit.non_finite)
    if report is None:
        return
    parts = (f"{_PARTS[part.part]} {plural(part.modules, 'module')}" for part in report.parts)
    yield "changes", ", ".join(parts)
    yield (
        "to write",
        (
            f"{file_size(report.bytes)} in {fit.dtype}, with {file_size(report.scratch_bytes)} of "
            "float32 at work"
        ),
    )
    yield "not in model", _named(report.unmatched)
    yield "not supported", _named(report.unsupported)
    yield "named twice", _named(report.twice)
    yield "no bias there", _named((*report.dropped_biases, *report.biases_alone))
    yield "rank 0", _named(report.empty)
    yield "zeros alone", _named(report.zeros)
    yield "left over", _named(report.left_over)
    yield "other tensors", _named(report.unknown_keys)
    yield "embeddings", ", ".join(report.embeddings)
    for remark in report.remarks:
        yield "note", remark


def fit_as_json(fit: Examination) -> dict[str, Any]:
    """The same with every name; sizes in bytes."""
    report = fit.report
    numbers = None
    if report is not None:
        numbers = to_builtins(report) | {
            "families": dict(report.families),
            "modules": report.modules,
            "bytes": report.bytes,
        }
    return {
        "model": fit.model,
        "dtype": fit.dtype,
        "fits": not fit.refusal,
        "refusal": fit.refusal,
        "fits_demo": fit.fits_demo,
        "non_finite": dict(fit.non_finite),
        "report": numbers,
    }


def _hint(fit: Examination) -> str:
    return " It fits the embedded demo: inspect it with --demo." if fit.fits_demo else ""


def _named(names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(name[:90] for name in names[:_EXAMPLES])
    more = f" and {len(names) - _EXAMPLES:,} more" if len(names) > _EXAMPLES else ""
    return f"{len(names):,}: {shown}{more}"


def _counted_values(counts: Sequence[tuple[str, int]]) -> str:
    if not counts:
        return ""
    total = sum(count for _, count in counts)
    return f"{plural(total, 'value')} in {_named([f'{name} ({n:,})' for name, n in counts])}"
