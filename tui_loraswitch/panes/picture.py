"""The picture pane: previews while drawing, then the picture as well as the terminal can."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from msgspec import Struct, structs
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from engine.demo import vocabulary
from engine.errors import EngineError
from engine.protocol.events import PictureSaved, Preview
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef
from engine.protocol.text import bar, duration, gib, stack_words
from engine.protocol.view import Drawing, EngineView
from engine.words.clean import clean_line
from engine.words.prompt_language.regions import read_regions
from tui_loraswitch.config.audition import KIB_PER_SECOND
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.desktop import open_outside
from tui_loraswitch.images.fit import HalfCells, Source, fit_half_cells
from tui_loraswitch.images.line_budget import LineBudget, as_fine_as_fits, first_rows
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.panes.background import in_background
from tui_loraswitch.panes.base import Line, Pane
from tui_loraswitch.panes.picture_area import Fitted, PictureArea

log = logging.getLogger(__name__)

PREVIEW_SECONDS = 1.0
"""Previews are the bulk of what is sent over SSH: no more than one in this time."""

ROWS_SECONDS = 0.25
"""Between two parts of a picture that the line does not take at once."""
MOVING_SECONDS = 0.5
"""How long a small picture stays coarse: the next one may come, and needs the line."""

_ROWS_FOR_PROMPT = 14
"""Of the pane: in a lower one the picture needs them all."""

_SHORTEST_BAR = 8

AUDITION = "audition · a ends · Y keeps"
READY = "g draws a picture"
_TOUR = """
Enter switches to a LoRA
Space stacks another one
0 is the base model again
v proves it, u takes back

p writes another prompt:
"""
NO_MODEL = "no model is loaded\nL loads it again · m chooses one"


class Drawn(Struct, frozen=True):
    """Something to look at, with the words above and below it."""

    source: Source
    title: str
    facts: str = ""
    prompt: str = ""
    is_audition: bool = False

    @classmethod
    def of(cls, picture: PictureSaved) -> Drawn:
        """A finished picture."""
        # Not before the first frame.
        from engine.generate.infotext import parse_infotext
        from engine.generate.picture_said import PictureSaid
        from tui_loraswitch.control.caption import caption_by

        took = f" · {duration(picture.seconds)}" if picture.seconds else ""
        info = replace(parse_infotext(picture.infotext), seed=picture.seed)
        said = caption_by(PictureSaid(picture.width, picture.height, info=info))
        title = f"Picture {clean_line(picture.path.stem, 40)}"
        # The time is seen where not all fits.
        facts = clean_line(" · ".join(filter(None, (f"{said.head}{took}", said.settings))), 300)
        return cls(picture.path, title, facts, clean_line(said.words, 1000))

    @property
    def is_file(self) -> bool:
        """False for a preview."""
        return isinstance(self.source, Path)


class PicturePane(Pane, can_focus=True):
    """The picture being drawn, or one of this session's."""

    TITLE = "Picture"
    DEFAULT_CSS = """
    PicturePane {
        padding: 0;
        & > #picture-area { height: 1fr; }
        & #picture-words {
            height: 1fr; color: $text-muted; text-align: center; content-align: center middle;
        }
        & > #picture-line, & > #picture-prompt { color: $text-muted; text-align: center; }
        & > #picture-prompt { display: none; color: $text; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "turn(-1)", "earlier", id="picture.earlier",
                tooltip="The picture drawn before this one"),
        Binding("right,l", "turn(1)", "later", id="picture.later",
                tooltip="The picture drawn after this one"),
        Binding("O", "open", "open", id="picture.open", show=False,
                tooltip="Open it in the desktop's viewer, where there is a desktop"),
    ]  # fmt: skip

    def __init__(
        self,
        terminal: TerminalImages,
        budget: PictureBudget,
        audition_kib_per_second: float = KIB_PER_SECOND,
        *,
        id: str,
    ) -> None:
        super().__init__(id=id)
        self._line = LineBudget(audition_kib_per_second)
        self._budget = budget
        self.area = PictureArea(terminal, budget, id="picture-area")
        self._pictures: list[Drawn] = []
        self._shown = -1
        self._is_audition = False
        self._drawn: Drawn | None = None
        self._view = EngineView()
        self._said = ""
        self._preview: Preview | None = None
        self._last_preview = -math.inf

    def compose(self) -> ComposeResult:
        """The picture or words in its place; below it progress, or facts of the picture."""
        with self.area:
            yield Static("", id="picture-words", markup=False)
        yield Line(id="picture-prompt")
        yield Line(id="picture-line")

    def show_view(self, view: EngineView) -> None:
        """Show how far the picture is, and those that have been drawn since the last view."""
        before, self._view = self._view, view
        self._show_words_of(view, before)
        if view.drawing is not None and view.drawing != before.drawing:
            self._show_drawing(view.drawing)
        elif view.drawing is None and before.drawing is not None:
            self._show_line(Content())
        self._show_new(view.pictures, before.pictures)

    def _show_words_of(self, view: EngineView, before: EngineView) -> None:
        """Words in place of a picture, while there is none."""
        if view.loading is not None:
            loading = view.loading
            self._say(_loading_words(clean_line(loading.stage, 60), loading.done, loading.total))
        elif (view.model, view.working) != (before.model, before.working):
            self._say(NO_MODEL if view.model is None else self._ready)

    @property
    def _ready(self) -> str:
        """What to begin with; of the demo a tour in five keys, where there is room."""
        model = self._view.model
        has_room = self.size.height >= _ROWS_FOR_PROMPT
        is_demo = model is not None and model.is_demo and has_room
        return f"{READY}\n{_TOUR}{vocabulary.in_short()}" if is_demo else READY

    def _show_drawing(self, drawing: Drawing) -> None:
        self._show_progress(drawing)
        if drawing.preview is not None and drawing.preview is not self._preview:
            self._preview = drawing.preview
            self._show_preview(drawing.preview)

    def _show_new(
        self, pictures: tuple[PictureSaved, ...], before: tuple[PictureSaved, ...]
    ) -> None:
        known, there = set(before), set(pictures)
        left = {_unplaced(one): one.path for one in before if one not in there}
        for picture in (one for one in pictures if one not in known):
            drawn, former = Drawn.of(picture), left.pop(_unplaced(picture), None)
            if former is None:
                self._pictures.append(drawn)
                self._shown = len(self._pictures) - 1
            else:  # it was moved
                self._pictures = [drawn if o.source == former else o for o in self._pictures]
        if pictures and there != known:
            self._show_saved(self._shown)

    @property
    def shown_file(self) -> Path | None:
        """The file of the picture that is shown; None for a preview, and where there is none."""
        source = self._drawn.source if self._drawn is not None else None
        return _there(source) if isinstance(source, Path) else None

    def action_turn(self, count: int) -> None:
        """Show an earlier or later picture of this session."""
        if self._pictures:
            self._show_saved(max(0, min(self._shown + count, len(self._pictures) - 1)))

    def action_open(self) -> None:
        """Open the picture in the desktop's viewer."""
        path = self.shown_file
        problem = open_outside(path) if path is not None else "There is no picture yet."
        if problem:
            self.notify(problem, severity="warning", markup=False)

    @work(exclusive=True, group="look at the terminal")
    async def draw_again(self) -> None:
        """Send the picture again, as the terminal can show it that is there now."""
        if await self.area.send_again() and self._drawn is not None:
            self._draw(self._drawn)

    def say_audition(self, is_on: bool) -> None:
        """Say that what the cursor is on will be seen here, or show the last picture again."""
        self._is_audition = is_on
        self._show_turns()
        if is_on:
            self.show_title(Content("Audition"))
            # The first picture needs it, and is not there yet.
            self.run_worker(in_background(import_module, "numpy"), group="import")
        elif self._pictures:
            self._show_saved(self._shown)
        else:
            self._drawn = None
            self._show_words(self._ready, Drawn(b"", self.TITLE))

    def say_auditioning(self, stack: str) -> None:
        """Say what will be seen; until then the picture is that of before."""
        self.show_title(Content(f"Audition {stack} …"))
        if self.shows_tabs:
            self._show_line(Content(f"{stack} …"))

    def say_no_audition(self, reason: str) -> None:
        """Say why there is no picture of what the cursor is on."""
        self.show_title(Content("Audition"))
        self._show_line(Content(reason))

    @work(exclusive=True, group="picture")
    async def show_audition(self, path: Path, stack: str, facts: str, is_full: bool) -> None:
        """Show a picture to look at: as fine as the line allows, and whole where it stays.

        The full one comes in the terminal's own protocol where it has one; else row by row, no
        faster than the line takes it.
        """
        drawn = self._drawn = Drawn(path, f"Audition {stack}", facts, is_audition=True)
        area = self.area
        protocol, size = area.terminal.protocol, area.size
        try:
            if protocol == "off" or not area.has_room:
                self._show_words(clean_line(str(path)), drawn)
            elif is_full and protocol != "halfcell":
                self._show(await area.fitted(lambda: path), drawn)
            else:
                cells = await in_background(fit_half_cells, path, *size)
                await self._show_cells(cells, drawn, is_full)
        except EngineError as error:
            self._show_words(f"the picture cannot be shown: {clean_line(str(error))}", drawn)

    async def _show_cells(self, cells: HalfCells, drawn: Drawn, is_full: bool) -> None:
        """Show it as fine as the line allows now, then row by row what it takes to be whole."""
        widget = self.area.half_cells
        part, cost = await in_background(as_fine_as_fits, cells, widget.cells, self._line.left)
        self._show(part, drawn)
        self._line.spend(cost)
        if not is_full:
            await asyncio.sleep(MOVING_SECONDS)
        while part != cells:
            await asyncio.sleep(ROWS_SECONDS)
            part, cost = first_rows(cells, part, self._line.left)
            widget.show(part)
            self._line.spend(cost)

    def take_room(self, height: int) -> None:
        """In a low pane the picture has the prompt's line too."""
        has_prompt = height - self.gutter.height >= _ROWS_FOR_PROMPT
        self.query_one("#picture-prompt").display = has_prompt

    def on_resize(self) -> None:
        """The picture is as large as fits."""
        if self._drawn is not None:
            self._draw(self._drawn)

    def _say(self, words: str) -> None:
        if self._drawn is None:
            self._write(words)

    def _write(self, words: str) -> None:
        # Work that is none of this pane's begins and ends with every step of the list's cursor.
        if words != self._said:
            self._said = words
            self._words.update(words, layout=False)

    def _show_progress(self, drawing: Drawing) -> None:
        step, total = drawing.step, drawing.total_steps
        words = progress_words(drawing, self.content_size.width - 2 - _SHORTEST_BAR)
        live = live_words(drawing.stacks, self._view.running)
        room = self.content_size.width - 2 - len(words) - len(live)
        width = max(_SHORTEST_BAR, min(40, room))
        done = round(step / max(1, total) * width)
        drawn = bar(step / max(1, total), width)
        self._show_line(
            Content.assemble(
                (drawn[:done], "$accent"), (drawn[done:], "$panel-lighten-2"), words, live
            )
        )

    def _show_prompt(self, drawn: Drawn) -> None:
        """The prompt under a finished picture."""
        self.query_one("#picture-prompt", Line).show(Content(drawn.prompt))

    def _show_line(self, content: Content) -> None:
        self.query_one("#picture-line", Line).show(content)

    def _show_preview(self, preview: Preview) -> None:
        now = time.monotonic()
        is_due = now - self._last_preview >= PREVIEW_SECONDS and not self._budget.seconds_left
        # Another screen may have asked for them.
        if is_due and self.area.terminal.protocol != "off":
            self._last_preview = now
            self._draw(Drawn((preview.width, preview.height, preview.rgb), "Preview"))

    def _show_saved(self, number: int) -> None:
        self._shown = number
        self._show_turns()
        self._draw(self._pictures[number])

    def _show_turns(self) -> None:
        """Say in the frame how to see other pictures."""
        count = len(self._pictures)
        turns = f"{self._shown + 1} of {count} · 1, then ← →" if count > 1 else ""
        self.show_subtitle(AUDITION if self._is_audition else turns)

    def _draw(self, drawn: Drawn) -> None:
        """Show a picture: previews in half cells, files as well as can be, or in words alone."""
        self._drawn = drawn
        if self.area.terminal.protocol == "off" or not self.area.has_room:
            self.workers.cancel_group(self, "picture")
            self._show_words(clean_line(str(drawn.source)) if drawn.is_file else "drawing …", drawn)
        else:
            self._scale(drawn)

    @work(exclusive=True, group="picture")
    async def _scale(self, drawn: Drawn) -> None:
        """Scale it in a thread, then show it."""
        try:
            picture = await self.area.fitted(lambda: _seen(drawn), in_full=drawn.is_file)
            self._show(picture, drawn)
        except EngineError as error:
            self._show_words(f"the picture cannot be shown: {clean_line(str(error))}", drawn)
        # It only decorates: whatever goes wrong with a picture, the app goes on.
        except Exception:
            log.exception("cannot be shown: %s", drawn.title)
            self._show_words("the picture cannot be shown; the log file has the details", drawn)

    def _show_words(self, words: str, drawn: Drawn) -> None:
        self._show_said(drawn)
        self._write(words)
        self.area.show_only(self._words)

    def _show(self, picture: Fitted, drawn: Drawn) -> None:
        """Show a picture with its words, in the same frame."""
        self._show_said(drawn)
        self.area.show(picture)

    def _show_said(self, drawn: Drawn) -> None:
        self.show_title(Content(drawn.title))
        if drawn.is_file:
            # Where tabs take the title's place, the line says what is auditioned.
            named = drawn.is_audition and self.shows_tabs
            title = drawn.title.removeprefix("Audition ")
            self._show_line(Content(f"{title} · {drawn.facts}" if named else drawn.facts))
        self._show_prompt(drawn)

    def another_area(self, *, keeps: int = 1, id: str) -> PictureArea:
        """Room for a picture on another screen, as the terminal and the line are."""
        return PictureArea(self.area.terminal, self._budget, keeps=keeps, id=id)

    @property
    def _words(self) -> Static:
        return self.query_one("#picture-words", Static)


def _seen(drawn: Drawn) -> Source:
    """What is to be shown, wherever it lies by now."""
    return _there(drawn.source) if isinstance(drawn.source, Path) else drawn.source


def _there(path: Path) -> Path:
    # Not before the first frame.
    from engine.sweep.put_away import put_away

    return put_away(path)


def progress_words(drawing: Drawing, most: int) -> str:
    """How far a picture is, in at most so many characters where that can be."""
    step, total, seconds = drawing.step, drawing.total_steps, drawing.seconds
    steps, took = f" {step}/{total}", f" · {duration(seconds)}"
    left = f" · {duration(seconds / step * (total - step))} left" if 0 < step < total else ""
    number = f" · pass {drawing.number}" if drawing.passes > 1 else ""
    of = f" of {drawing.passes}" if number else ""
    ways = steps + took + left + number + of, steps + left + number + of, steps + left + number
    return next((words for words in ways if len(words) <= most), ways[-1])


def _unplaced(picture: PictureSaved) -> PictureSaved:
    """A picture wherever it lies."""
    return structs.replace(picture, path=Path(), trouble="")


def live_words(stacks: Sequence[Sequence[LoraRef]], job: Job | None) -> str:
    """Which LoRAs a step was drawn with, where they change: ` · ink 0.40`, or by region."""
    if len(stacks) < 2:
        return "".join(f" · {stack_words(stack)}" for stack in stacks)
    # The prompt for all of the picture, where there is one, goes before the regions.
    has_base = job is not None and bool(read_regions(job.request.prompt).base)
    places = [("whole" if has_base else "1"), *map(str, range(1 if has_base else 2, 65))]
    named = zip(places, stacks, strict=False)
    return "".join(f" · {place}: {stack_words(stack)}" for place, stack in named)


def _loading_words(stage: str, done: int, total: int) -> str:
    if not total:
        return f"{stage} …"
    share = f"{gib(done)} of {gib(total)} GiB" if total > 1 << 30 else f"{done * 100 // total} %"
    return f"{stage}\n{bar(done / total, 24)} {share}"
