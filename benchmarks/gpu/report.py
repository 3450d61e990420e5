"""Results as plain data, and the table of them: measured beside the floor and what was foretold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

Result = Mapping[str, object]
"""`section`, `name`, and what is known of: `measured` (a number in `unit`), `floor` and `predicted`
in the same unit, `note`, `skipped` or `error` in words."""

COLUMNS = ("section", "what", "measured", "floor", "× floor", "predicted", "note")


def table(results: Iterable[Result]) -> list[Sequence[str]]:
    """A heading and a row for each result."""
    return [COLUMNS, *map(_row, results)]


def _row(result: Result) -> Sequence[str]:
    measured, floor, predicted = (result.get(key) for key in ("measured", "floor", "predicted"))
    unit = str(result.get("unit", ""))
    ratio = ""
    if isinstance(measured, int | float) and isinstance(floor, int | float) and floor:
        ratio = f"{measured / floor:.2f}"
    words = (f"{key}: {result[key]}" for key in ("skipped", "error") if result.get(key))
    note = "; ".join((*words, *([str(result["note"])] if result.get("note") else ())))
    numbers = (_number(value, unit) for value in (measured, floor, predicted))
    shown, limit, aim = numbers
    return (str(result["section"]), str(result["name"]), shown, limit, ratio, aim, note)


def _number(value: object, unit: str) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".strip()


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns for a terminal; notes, which come last, keep their length."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
    return "\n".join(
        "  ".join((*(cell.ljust(w) for cell, w in zip(row[:-1], widths, strict=True)), row[-1]))
        for row in rows
    )


def as_markdown(results: Iterable[Result]) -> Iterator[str]:
    """The lines of a Markdown table."""
    heading, *rows = table(results)
    yield "| " + " | ".join(heading) + " |"
    yield "|---|---|--:|--:|--:|--:|---|"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
