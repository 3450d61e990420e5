"""What the engine reports, in words for the log."""

from __future__ import annotations

from msgspec import structs

from engine.protocol.events import (
    BackupMoved,
    CommandFailed,
    Event,
    EventMessage,
    GenerationCancelled,
    GenerationFinished,
    GenerationStarted,
    HashAwaited,
    JobChanged,
    ModelLoaded,
    ModelUnloaded,
    QueuePaused,
    StateChanged,
    Switched,
    Verified,
)
from engine.protocol.log import Kind, LogLine
from engine.protocol.modes import MODE_WORDS
from engine.protocol.reports import SwitchReport
from engine.protocol.text import TIER_WORDS, duration, gib, plural, stack_words
from engine.sdxl.prediction import PREDICTION_WORDS
from engine.words.clean import clean_line

SHORTEST_PHASE = 0.5
"""Milliseconds."""


def log_lines(message: EventMessage) -> list[LogLine]:
    """The lines of an event, at its time; none for progress and gauges."""
    return [structs.replace(line, time=message.time) for line in _describe(message.event)]


def _describe(event: Event) -> list[LogLine]:
    match event:
        case ModelLoaded(model=model, seconds=seconds, notes=notes):
            billions = f"{model.parameters / 1e9:.2f} billion weights"
            if model.parameters < 1e9:
                billions = f"{model.parameters / 1e6:.1f} million weights"
            words = f"loaded {model.name} · {billions} · {duration(seconds)}"
            how = [f"mode {model.mode}: {MODE_WORDS[model.mode]}"]
            if model.mode == "resident":
                how = []
            if model.prediction != "epsilon":
                how.append(f"it {PREDICTION_WORDS[model.prediction]}")
            return [_line("done", words), *(_line("info", line) for line in (*how, *notes))]
        case ModelUnloaded():
            return [LogLine("done", "unloaded: the model's memory is given back")]
        case StateChanged(state="recovering"):
            return [LogLine("warning", "a switch broke off: bringing the base back")]
        case Switched(report=report, warnings=warnings):
            took = duration(report.total_milliseconds / 1000)
            if report.stack:
                changed = plural(report.merged + report.restored, "tensor")
                # Nothing had to be read from the disk.
                warm = " (warm)" if report.found_in_memory == len(report.stack) else ""
                words = f"switched to {stack_words(report.stack)} · {changed} · {took}{warm}"
            else:
                words = f"back to base · {plural(report.restored, 'tensor')} restored · {took}"
            done = _line("done", words + _phases(report))
            return [done, *(_line("warning", text) for text in warnings)]
        case GenerationStarted(request=request, seed=seed, total_steps=steps):
            count = plural(request.batch, "picture")
            size = f"{request.width}×{request.height}"
            if (hires := request.hires) is not None:
                size += f" → {hires.side(request.width)}×{hires.side(request.height)}"
            return [_line("work", f"drawing {count} · seed {seed} · {size} · {steps} steps")]
        case HashAwaited(name=name):
            words = f"drawn; its infotext waits for the hash of {name}, once (x saves it without)"
            return [_line("work", words)]
        case GenerationFinished(pictures=pictures, seconds=seconds, warnings=warnings):
            lines = [_line("warning", text) for text in warnings]
            names = ", ".join(picture.path.stem for picture in pictures[:4])
            more = f" and {len(pictures) - 4} more" if len(pictures) > 4 else ""
            noun = "picture" if len(pictures) == 1 else "pictures"
            words = f"{noun} {names}{more} · {duration(seconds)} · saved"
            return [*lines, _line("done", words)]
        case GenerationCancelled(total_steps=0):
            return [LogLine("warning", "cancelled before the first step")]
        case GenerationCancelled(step=step, total_steps=total):
            return [LogLine("warning", f"cancelled at step {step} of {total}")]
        case JobChanged(job=job) if job.state == "set aside":
            return [_line("failure", f"a picture was set aside: {job.reason}")]
        case QueuePaused(paused=True):
            return [LogLine("info", "the queue is paused")]
        case QueuePaused():
            return [LogLine("info", "the queue goes on")]
        case Verified(report=report, seconds=seconds):
            if report.different:
                names = ", ".join(report.different[:3])
                words = f"{plural(len(report.different), 'tensor')} differ from the base: {names}"
                return [_line("failure", words)]
            words = f"base verified: 0 of {report.weights:,} weights differ · {duration(seconds)}"
            return [LogLine("done", words)]
        case BackupMoved(tier=tier, bytes=count, seconds=seconds, beside=beside):
            amount = f"{gib(count)} GiB" if count else "0"
            rest = f", {gib(beside)} of it {TIER_WORDS['cpu']}" if beside else ""
            words = f"backup {amount} {TIER_WORDS[tier]} now{rest} · {duration(seconds)}"
            return [LogLine("done", words)]
        case CommandFailed(message=message, cancelled=True):
            return [_line("warning", message)]
        case CommandFailed(message=message):
            return [_line("failure", message)]
    return []


def _phases(report: SwitchReport) -> str:
    """What the time of a switch went into; phases too short to be measured are left out."""
    phases = ((name, ms) for name, ms in report.milliseconds if ms >= SHORTEST_PHASE)
    words = ", ".join(f"{name} {duration(ms / 1000)}" for name, ms in phases)
    return f" · {words}" if words else ""


def _line(kind: Kind, text: str) -> LogLine:
    return LogLine(kind, clean_line(text))
