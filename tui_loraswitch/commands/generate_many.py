"""Many prompts for `generate`, with the model loaded once: each line's result as it is made."""

from __future__ import annotations

import argparse
import json
import logging
import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.host.runtime import HostError, HostPlace
from engine.protocol.commands import CancelJob, Draw
from engine.protocol.events import (
    CommandFailed,
    EventMessage,
    GenerationCancelled,
    GenerationFinished,
    JobQueued,
    ModelLoaded,
    PictureSaved,
)
from engine.protocol.text import plural
from engine.words.sampler_spellings import read_sampler
from tui_loraswitch.commands import attach, engine_run
from tui_loraswitch.commands.lora_names import Library
from tui_loraswitch.commands.outcome import FAILED, OK, UsageError, say
from tui_loraswitch.commands.picture_json import member_as_json, picture_as_json, warnings_of
from tui_loraswitch.commands.picture_options import Wanted, wanted_pictures
from tui_loraswitch.commands.progress import ProgressLine
from tui_loraswitch.commands.prompt_lines import Options, lines_of_file, lines_of_pipe, read_line
from tui_loraswitch.config.settings import AppSettings

log = logging.getLogger(__name__)

MOST_OUTSTANDING = 200
"""Jobs that are in the queue at a time; more than the seeds that one line may have."""
_MOST_FAULTS_SAID = 20


@dataclass
class Line:
    """A line with a prompt: what is to be drawn for it, or why that cannot be."""

    number: int
    prompt: str = ""
    wanted: list[Wanted] = field(default_factory=list)
    fault: str = ""


def lines_to_draw(
    args: argparse.Namespace, settings: AppSettings, library: Library
) -> Iterable[Line]:
    """The lines with prompts; those of a file are all checked before the first is returned.

    Raises `UsageError` for a file with a wrong line, after each was named.
    """
    if args.file is None:
        if sys.stdin is None:
            raise UsageError("There is no standard input to read prompts from.")
        return _checked(lines_of_pipe(sys.stdin.fileno()), args, settings, library)
    try:
        lines = list(_checked(lines_of_file(args.file), args, settings, library))
    except EngineError as error:
        raise UsageError(f"--file {error}") from error
    _refuse_faults(args.file, lines)
    return lines


def _checked(
    lines: Iterable[bytes], args: argparse.Namespace, settings: AppSettings, library: Library
) -> Iterator[Line]:
    for number, data in enumerate(lines, 1):
        line = Line(number)
        try:
            for options in read_line(data, args.lora):
                line.prompt = options["prompt"]
                one = _with_defaults(args, options)
                line.wanted += wanted_pictures(one, settings, library)
        except UsageError as error:
            line.fault = str(error)
        if line.wanted or line.fault:
            yield line


def _with_defaults(args: argparse.Namespace, options: Options) -> argparse.Namespace:
    """The command's options with a line's in their place."""
    merged = {**vars(args), **options}
    # A schedule in the name of a sampler gives way to what the line itself says, too.
    if "sampler" in options and "schedule" not in options and read_sampler(options["sampler"])[1]:
        merged["schedule"] = None
    if "schedule" in options and "sampler" not in options:
        merged["sampler"] = read_sampler(args.sampler)[0]
    return argparse.Namespace(**merged)


def _refuse_faults(file: Path, lines: list[Line]) -> None:
    faults = [line for line in lines if line.fault]
    for line in faults[:_MOST_FAULTS_SAID]:
        say(f"line {line.number}: {line.fault}")
    if faults:
        raise UsageError(
            f"--file {file}: {plural(len(faults), 'line')} of {plural(len(lines), 'prompt')} "
            "cannot be drawn, so none was."
        )


def draw_lines(
    lines: Iterable[Line], settings: AppSettings, place: HostPlace | None, detach: bool
) -> int:
    """Draw each line, in the host's queue or in an engine of this process; an exit code.

    With `detach` they are left to the host's queue.
    """
    with ProgressLine() as progress:
        run = _Run(place, detach, progress)
        with engine_run.left_in_any_case(run.leave):
            return run.draw(lines, settings)


@dataclass
class _Open:
    """A line of which not all is drawn."""

    line: Line
    jobs: int
    finished: list[GenerationFinished] = field(default_factory=list)
    pictures: list[PictureSaved] = field(default_factory=list)
    error: str = ""


class _Run:
    """Puts lines into a queue, and reports each when it is done.

    One thread reads the lines, since a pipe may let it wait; the engine tells of its events on
    threads of its own. Both fill the inbox, and this one alone acts on what comes out of it.
    """

    def __init__(self, place: HostPlace | None, detach: bool, progress: ProgressLine) -> None:
        self._detach = detach
        self._progress = progress
        self._inbox: queue.SimpleQueue[Line | EventMessage | Exception | None] = queue.SimpleQueue()
        self._slots = threading.Semaphore(MOST_OUTSTANDING)
        self._open: dict[str, _Open] = {}
        self._own: set[str] = set()
        """Commands that are no jobs."""
        self._failed = 0
        self._lost = False
        self._engine = attach.connected(place, self._lose)
        self._engine.attach(self._inbox.put)

    def draw(self, lines: Iterable[Line], settings: AppSettings) -> int:
        """Draw all lines; an exit code."""
        if (load := engine_run.needed_load(self._engine.view, settings)) is not None:
            self._own.add(self._engine.send(load))
        if not self._detach:
            engine_run.say_if_paused(self._engine.view)
        threading.Thread(target=self._read, args=(lines,), name="lines", daemon=True).start()
        reading = True
        while reading or self._open:
            match self._inbox.get():
                case Line() as line:
                    self._ask(line)
                case EventMessage() as message:
                    self._hear(message)
                case None:
                    reading = False
                case Exception() as error:
                    raise error
        return FAILED if self._failed else OK

    def leave(self) -> bool:
        """Drop the jobs that are not drawn, and leave the engine; True when done in time."""
        if not self._detach:
            self._drop_all()
        return self._engine.close(engine_run.CLOSE_SECONDS)

    def _read(self, lines: Iterable[Line]) -> None:
        """On a thread of its own: hand over the lines, as many as there is room for."""
        try:
            for line in lines:
                for _ in line.wanted:
                    self._slots.acquire()
                self._inbox.put(line)
        except (OSError, EngineError) as error:
            self._inbox.put(error)
        except Exception as error:
            # Whatever it is, the thread that waits for lines has to hear of it.
            log.exception("the lines cannot be read")
            self._inbox.put(error)
        else:
            self._inbox.put(None)

    def _lose(self, reason: str) -> None:
        self._lost = True
        self._inbox.put(
            HostError(
                f"The connection to the host is lost ({reason}). What is not drawn stays in its "
                "queue, and is drawn when a host runs again."
            )
        )

    def _ask(self, line: Line) -> None:
        if line.fault:
            self._report(line, error=line.fault)
            return
        open = _Open(line, len(line.wanted))
        for wanted in line.wanted:
            self._open[self._engine.send(Draw(wanted.request, wanted.stack))] = open

    def _hear(self, message: EventMessage) -> None:
        event, id = message.event, message.answers
        if id is None or id in self._open or id in self._own:
            self._progress.follow(event)
        if id in self._own and isinstance(event, ModelLoaded):
            for note in event.notes:
                say(note)
        if id in self._own and isinstance(event, CommandFailed):
            raise EngineError(event.message)
        if (reason := engine_run.no_model_comes(event, self._engine.view)) is not None:
            raise EngineError(reason)
        if id is not None and id in self._open:
            self._go_on(id, self._open[id], message)

    def _go_on(self, id: str, open: _Open, message: EventMessage) -> None:
        match message.event:
            case JobQueued(job=job) if self._detach:
                self._report(open.line, prompt=job.request.prompt, job=id, seed=job.request.seed)
                self._end(id)
            case PictureSaved() as picture:
                open.pictures.append(picture)
            case GenerationFinished() as finished:
                open.finished.append(finished)
                self._end(id)
            case GenerationCancelled():
                open.error = "It was taken out of the queue."
                self._end(id)
            case CommandFailed(message=words, unexpected=unexpected):
                open.error = engine_run.unexpected_words(words) if unexpected else words
                self._end(id)

    def _end(self, id: str) -> None:
        """A job is done with."""
        open = self._open.pop(id)
        self._slots.release()
        open.jobs -= 1
        if not open.jobs and (open.error or not self._detach):
            self._report(open.line, **_result(open))

    def _report(self, line: Line, **facts: Any) -> None:
        self._failed += "error" in facts
        self._progress.show("")
        print(json.dumps({"line": line.number, **facts}), flush=True)

    def _drop_all(self) -> None:
        """Take the jobs out of the queue, and wait until the host has heard of the last one."""
        last: str | None = None
        for id in self._open:
            last = self._engine.send(CancelJob(id))
        self._open.clear()
        with suppress(queue.Empty):
            while last is not None and not self._lost:
                message = self._inbox.get(timeout=engine_run.CLOSE_SECONDS)
                if isinstance(message, EventMessage) and message.answers == last:
                    return


def _result(open: _Open) -> dict[str, Any]:
    """What is said of a line that is done."""
    facts: dict[str, Any] = {
        "prompt": open.line.prompt,
        "pictures": list(map(picture_as_json, open.pictures)),
    }
    if open.finished:
        facts |= {
            "seed": open.pictures[0].seed,
            "seconds": round(sum(finished.seconds for finished in open.finished), 3),
            "stack": list(map(member_as_json, open.finished[0].stack)),
            "warnings": list(dict.fromkeys(w for f in open.finished for w in warnings_of(f))),
        }
    return facts | ({"error": open.error} if open.error else {})
