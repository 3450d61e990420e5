"""The main screen: all panes, laid out for the terminal's size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, TextArea

from engine.protocol.view import EngineView
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.look.layout import RIGHT_PANES, Mode, arrange
from tui_loraswitch.look.theme import MUTED
from tui_loraswitch.panes.base import Pane
from tui_loraswitch.panes.details import DetailsPane
from tui_loraswitch.panes.floor import FloorMessage
from tui_loraswitch.panes.gauges import GaugeLine, GaugesPane
from tui_loraswitch.panes.key_bar import KeyBar
from tui_loraswitch.panes.library import LibraryPane
from tui_loraswitch.panes.log import LogPane
from tui_loraswitch.panes.picture import PicturePane
from tui_loraswitch.panes.prompt import PromptPane
from tui_loraswitch.panes.stack import StackPane
from tui_loraswitch.panes.status import StatusLine

TAB_NAMES = {"details": "Info"}
"""Where the pane's own name is too long for five tabs in forty cells."""


class MainScreen(Screen[None]):
    """Holds the panes and decides which are seen."""

    DEFAULT_CSS = "MainScreen { background: $background; overflow: hidden; }"
    AUTO_FOCUS = "LoraList"

    def __init__(
        self, images: TerminalImages, presets: Mapping[str, str], budget: PictureBudget
    ) -> None:
        super().__init__()
        self._mode: Mode = "floor"
        self._right = RIGHT_PANES[0]
        self.status = StatusLine(id="status")
        self.library = LibraryPane(id="library")
        self.details = DetailsPane(budget, id="details", shows_pictures=images.protocol != "off")
        self.stack = StackPane(presets, id="stack")
        self.gauges = GaugesPane(id="gauges")
        self.picture = PicturePane(images, budget, id="picture")
        self.prompt = PromptPane(id="prompt")
        self.log_pane = LogPane(id="log")
        self.panes: tuple[Pane, ...] = (
            self.library, self.details, self.stack, self.gauges,
            self.picture, self.prompt, self.log_pane,
        )  # fmt: skip

    def compose(self) -> ComposeResult:
        """Everything; the arrangement says what is shown and where."""
        yield self.status
        yield from self.panes
        yield GaugeLine(id="gauge-line")
        yield KeyBar(id="keys")
        yield FloorMessage(id="floor")

    def on_mount(self) -> None:
        """Lay the panes out before the first frame."""
        self._arrange(*self.app.size)

    def on_resize(self, event: events.Resize) -> None:
        """Lay the panes out anew."""
        self._arrange(*event.size)

    def on_paste(self) -> None:
        """Say what becomes of text that is pasted where nothing is written."""
        if not isinstance(self.focused, Input | TextArea):
            words = "Pasted text is not run as keys; p opens the prompt for it."
            self.notify(words, severity="warning", markup=False)

    def show_view(self, view: EngineView) -> None:
        """Pass on what the engine is like now."""
        self.status.show_view(view)
        for pane in self.panes:
            pane.show_view(view)

    def show_pane(self, name: str, take_focus: bool = True) -> None:
        """Bring a pane into view; where it is in view anyway, it takes the focus."""
        if self._mode == "folded":
            self._right = name
            self._arrange(*self.size)
            if self.focused is None or not _is_displayed(self.focused):
                self.library.focus_target().focus()
        elif take_focus:
            target = self.query_one(f"#{name}", Pane).focus_target()
            if target is not None:
                target.focus()

    def edit_prompt(self, negative: bool = False) -> None:
        """Put the cursor into the prompt or the negative prompt."""
        self.show_pane("prompt", take_focus=False)
        self.prompt.edit(negative)

    @property
    def focused_title(self) -> str:
        """The name of the pane that has the focus."""
        around = self.focused.ancestors_with_self if self.focused else []
        pane = next((node for node in around if isinstance(node, Pane)), None)
        return pane.TITLE if pane else ""

    @property
    def highlighted_member(self) -> tuple[Path | None, bool]:
        """The LoRA that keys for a member of the stack mean, and whether it is the prompt's."""
        if (ref := self.stack.highlighted) is not None:
            return Path(ref.path), self.stack.is_on_tagged
        entry = self.library.highlighted
        return (entry.path if entry else None), False

    def turn_pane(self, count: int) -> None:
        """Go to the next or previous of the panes that the number keys choose."""
        here = self._right
        if self._mode != "folded" and self.focused is not None:
            around = (node.id for node in self.focused.ancestors_with_self)
            here = next((name for name in around if name in RIGHT_PANES), here)
        number = (RIGHT_PANES.index(here) + count) % len(RIGHT_PANES)
        self._right = RIGHT_PANES[number]
        self.show_pane(self._right)

    def _arrange(self, width: int, height: int) -> None:
        arrangement = arrange(width, height, self._right)
        self._mode = arrangement.mode
        tabs = self._tabs() if arrangement.mode == "folded" else None
        for widget in self.children:
            if isinstance(widget, FloorMessage):
                widget.show_size(width, height)
                widget.display = arrangement.mode == "floor"
                continue
            region = arrangement.regions.get(widget.id or "")
            widget.display = region is not None
            if region is not None:
                widget.styles.offset = (region.x, region.y)
                widget.styles.width, widget.styles.height = region.width, region.height
            if isinstance(widget, Pane) and widget.id in RIGHT_PANES:
                widget.show_tabs(tabs)

    def _tabs(self) -> Content:
        """The names of the panes that share the right half, with their keys."""
        tabs = []
        for number, name in enumerate(RIGHT_PANES, 1):
            style = "$accent bold" if name == self._right else f"not bold {MUTED}"
            words = f"{number} {TAB_NAMES.get(name, name.capitalize())}"
            tabs.append(Content.from_markup(f"[@click=app.pane({name!r})][{style}]{words}[/][/]"))
        return Content(" ").join(tabs)


def _is_displayed(widget: Widget) -> bool:
    """Whether a widget is to be seen from now on; what is on the screen may be of before."""
    around = (node for node in widget.ancestors_with_self if isinstance(node, Widget))
    return all(node.display for node in around)
