"""The main screen: all panes, laid out for the terminal's size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from textual import events, on
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Input, TextArea

from engine.protocol.view import EngineView
from tui_loraswitch.app.key_paint import KeyPaintingScreen
from tui_loraswitch.app.room import Edge, Room
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.look.layout import RIGHT_PANES, Arrangement
from tui_loraswitch.look.tabs import tab_line
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


class MainScreen(KeyPaintingScreen):
    """Holds the panes and decides which are seen."""

    DEFAULT_CSS = "MainScreen { background: $background; overflow: hidden; }"
    AUTO_FOCUS = "LoraList"

    def __init__(
        self,
        images: TerminalImages,
        presets: Mapping[str, str],
        budget: PictureBudget,
        audition_kib_per_second: float,
        show_state: Callable[[], None],
    ) -> None:
        """`show_state` shows what is remembered; it is called before the first frame."""
        super().__init__()
        self._show_state = show_state
        self.room = Room(self._show_arrangement)
        self._dragged: Edge | None = None
        self._was_shown = False
        self.status = StatusLine(id="status")
        self.library = LibraryPane(id="library")
        self.details = DetailsPane(budget, id="details", shows_pictures=images.protocol != "off")
        self.stack = StackPane(presets, id="stack")
        self.gauges = GaugesPane(id="gauges")
        self.picture = PicturePane(images, budget, audition_kib_per_second, id="picture")
        self.prompt = PromptPane(id="prompt")
        self.log_pane = LogPane(id="log")
        self.key_bar = KeyBar(id="keys")
        self.panes: tuple[Pane, ...] = (
            self.library, self.details, self.stack, self.gauges,
            self.picture, self.prompt, self.log_pane,
        )  # fmt: skip

    def compose(self) -> ComposeResult:
        """Everything; the arrangement says what is shown and where."""
        yield self.status
        yield from self.panes
        yield GaugeLine(id="gauge-line")
        yield self.key_bar
        yield FloorMessage(id="floor")

    @property
    def awaits_answer(self) -> bool:
        """A letter of the filter is painted with what it finds.

        To paint the one and then the other takes twice as long: for a line of a pane Textual draws
        all that is in it.
        """
        return self.library.filtered_at < self.library.letters.changed_at

    def note_key(self) -> None:
        """A key has come: it goes before what decorates the screen."""
        super().note_key()
        self.details.note_key()

    def can_wait(self, widget: Widget) -> bool:
        """What is drawn, read, measured or told waits for its frame, but where the focus is."""
        around = widget.ancestors_with_self
        pane = next((node for node in around if isinstance(node, Pane | GaugeLine)), None)
        kinds = PicturePane | DetailsPane | LogPane | GaugesPane | GaugeLine
        return isinstance(pane, kinds) and not pane.has_focus_within

    def on_mount(self) -> None:
        """Fill the panes and lay them out before the first frame."""
        self._show_state()
        self.room.resize(self.app.size)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """The first time its widgets have their styles already, each from when it was mounted."""
        if not self._was_shown:
            self._was_shown = True
            event.refresh_styles = False

    def on_resize(self, event: events.Resize) -> None:
        """Lay the panes out anew."""
        self.room.resize(event.size)

    @on(Pane.RoomWanted)
    def share_room(self) -> None:
        """Share the height by what the panes have to show."""
        self.room.need((pane.id or "", pane.lines_wanted) for pane in self.panes)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the edge between two panes."""
        self._dragged = self.room.edge_at(int(event.screen_x), int(event.screen_y))
        if self._dragged is not None:
            self.app.capture_mouse(self.status)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Move the edge that is held."""
        if self._dragged is not None:
            self.room.drag(self._dragged, int(event.screen_x), int(event.screen_y))

    def on_mouse_up(self) -> None:
        """Let the edge go."""
        if self._dragged is not None:
            self._dragged = None
            self.app.capture_mouse(None)

    def on_paste(self) -> None:
        """Say what becomes of text that is pasted where nothing is written."""
        if not self.is_written_into:
            words = "Pasted text is not run as keys; p opens the prompt for it."
            self.notify(words, severity="warning", markup=False)

    def show_view(self, view: EngineView) -> None:
        """Pass on what the engine is like now."""
        self.status.show_view(view)
        for pane in self.panes:
            pane.show_view(view)

    def show_pane(self, name: str, take_focus: bool = True) -> None:
        """Bring a pane into view; where it is in view anyway, it takes the focus."""
        is_new = self.room.bring(name)
        if self.room.is_alone or (take_focus and not is_new):
            target = self.query_one(f"#{name}", Pane).focus_target()
            if target is not None:
                target.focus()

    def show_list(self) -> None:
        """Go back to the list of LoRAs, with all panes as far as there is room."""
        self.room.leave_zoom()
        self.room.bring("library")
        self.library.focus_target().focus()

    def find(self) -> None:
        """Put the cursor into the library's filter."""
        self.room.bring("library")
        self.library.letters.focus()

    def zoom(self) -> None:
        """Give the focused pane the whole screen, or show all again."""
        self.room.zoom(self.focused_pane)

    def edit_prompt(self, negative: bool = False) -> None:
        """Put the cursor into the prompt or the negative prompt."""
        self.show_pane("prompt", take_focus=False)
        self.prompt.edit(negative)

    @property
    def is_written_into(self) -> bool:
        """Whether a text has the focus, so that keys are letters."""
        return isinstance(self.focused, Input | TextArea)

    @property
    def focused_pane(self) -> str:
        """The id of the pane that has the focus; the list's where none has it."""
        around = self.focused.ancestors_with_self if self.focused else []
        return next((node.id for node in around if isinstance(node, Pane) and node.id), "library")

    @property
    def focused_title(self) -> str:
        """The name of that pane."""
        return self.query_one(f"#{self.focused_pane}", Pane).TITLE

    @property
    def highlighted_member(self) -> tuple[Path | None, bool]:
        """The LoRA that keys for a member of the stack mean, and whether it is the prompt's."""
        if (ref := self.stack.highlighted) is not None:
            return Path(ref.path), self.stack.is_on_tagged
        entry = self.library.highlighted
        return (entry.path if entry else None), False

    def turn_pane(self, count: int) -> None:
        """Go to the next or previous of the panes that the number keys choose."""
        here = self.focused_pane
        if self.room.arrangement.mode == "folded" or here not in RIGHT_PANES:
            here = self.room.wishes.right
        number = (RIGHT_PANES.index(here) + count) % len(RIGHT_PANES)
        self.show_pane(RIGHT_PANES[number])

    def _show_arrangement(self, arrangement: Arrangement) -> None:
        tabs = None
        if arrangement.mode == "folded":
            (_, area) = arrangement.columns
            tabs = tab_line(self.room.wishes.right, area.area.width - 6)
        for widget in self.children:
            if isinstance(widget, FloorMessage):
                widget.show_size(*self.size)
                widget.display = arrangement.mode == "floor"
                continue
            region = arrangement.regions.get(widget.id or "")
            widget.display = region is not None
            if region is not None:
                widget.styles.offset = (region.x, region.y)
                widget.styles.width, widget.styles.height = region.width, region.height
                if isinstance(widget, Pane):
                    widget.take_room(region.height)
            if isinstance(widget, Pane) and widget.id in RIGHT_PANES:
                widget.show_tabs(tabs)
        if self.focused is not None and not _is_displayed(self.focused):
            self._focus_what_is_seen(arrangement)

    def _focus_what_is_seen(self, arrangement: Arrangement) -> None:
        name = self.room.wishes.alone if arrangement.mode == "single" else "library"
        target = self.query_one(f"#{name}", Pane).focus_target()
        if target is not None:
            target.focus()


def _is_displayed(widget: Widget) -> bool:
    """Whether a widget is to be seen from now on; what is on the screen may be of before."""
    around = (node for node in widget.ancestors_with_self if isinstance(node, Widget))
    return all(node.display for node in around)
