"""The help screen: the keys of the focused pane, then those of the whole app by subject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Protocol, runtime_checkable

from textual import on
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_loraswitch.look.subjects import SUBJECTS, subject_of
from tui_loraswitch.look.theme import FAINT, MUTED
from tui_loraswitch.panes.log import SIGNS
from tui_loraswitch.screens.framed import Framed

KEY_WIDTH = 12
WIDTH = 78
_AROUND = 7
"""Of frame, padding and scrollbar."""
_MARKS = (
    ("●", "$text-success", "live: in the model's weights now"),
    ("◌", "$text-warning", "on its way in or out"),
    ("!", "$text-error", "cannot be used; the details say why"),
    ("○", FAINT, "a LoRA in the library"),
    ("<name>", MUTED, "in the stack because the prompt names it: <lora:name:0.8>"),
    ("lbw", MUTED, "counts differently in some blocks of the model"),
)


_PICTURES = (
    "In full by Kitty's protocol, iTerm2's or Sixel, else in half cells; “loraswitch doctor” says "
    "which. tmux 3.3 carries Kitty's with: set -g allow-passthrough on"
)


@runtime_checkable
class HasHelp(Protocol):
    """A screen with keys of its own, which the help can show."""

    HELP_TITLE: ClassVar[str]


class HelpScreen(ModalScreen[None]):
    """Keys and marks, or those that have some words; any of `?`, Escape, q closes it."""

    AUTO_FOCUS = "VerticalScroll"
    DEFAULT_CSS = """
    HelpScreen {
        align: center middle;
        & > Vertical {
            width: 78; max-width: 100%; height: auto; max-height: 100%;
            border: round $border; border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted; background: $background; padding: 0 2;
        }
        & VerticalScroll { height: auto; max-height: 100h; scrollbar-size-vertical: 1; }
        & Input, & Input:focus {
            border: none; height: 1; padding: 0; background: $surface; display: none; dock: bottom;
        }
        & Input.-open { display: block; }
        & Static { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", id="help.leave",
                tooltip="Show all again, or close the help"),
        Binding("question_mark,q,f1", "dismiss", "close", id="help.close",
                tooltip="Close the help"),
        Binding("slash", "find", "find", id="help.find", key_display="/",
                tooltip="Show the keys whose words have what is typed"),
    ]  # fmt: skip

    def __init__(self, pane: str, keys: Mapping[str, ActiveBinding], everywhere: object) -> None:
        super().__init__()
        self._pane = pane
        self._keys = keys
        self._everywhere = everywhere
        self._words: list[str] = []
        """What is shown has them all."""
        self._shown = Static(markup=False)
        self._wrapped_to = 0
        """The width of the app that the text was wrapped for."""

    def compose(self) -> ComposeResult:
        """One text that scrolls, and what is looked for."""
        with Framed("/ finds · Escape closes") as box:
            box.border_title = "Keys"
            self._wrap()  # the first frame has the text
            with VerticalScroll():
                yield self._shown
            field = Input(placeholder="words", compact=True)
            field.cursor_blink = False
            yield field

    def on_resize(self) -> None:
        """Wrap the text to the width."""
        if self._wrapped_to != self.app.size.width:
            self._wrap()

    def _wrap(self) -> None:
        self._wrapped_to = self.app.size.width
        self._shown.update(self._text())

    def action_find(self) -> None:
        """Look for words."""
        field = self.query_one(Input)
        field.add_class("-open")
        field.focus()

    def action_leave(self) -> None:
        """Show all again, or close."""
        field = self.query_one(Input)
        if not field.has_class("-open"):
            self.dismiss()
            return
        field.value = ""
        field.remove_class("-open")
        self.query_one(VerticalScroll).focus()

    @on(Input.Changed)
    def narrow(self, message: Input.Changed) -> None:
        """Show what has the words."""
        self._words = message.value.casefold().split()
        self._shown.update(self._text())

    @on(Input.Submitted)
    def scroll_found(self) -> None:
        """Keys scroll what was found."""
        self.query_one(VerticalScroll).focus()

    def _text(self) -> Content:
        sections: dict[str, list[list[Binding]]] = {self._pane: []}
        more: list[list[Binding]] = []
        for bindings, is_everywhere in self._groups():
            title = subject_of(bindings[0].id or "") if is_everywhere else self._pane
            is_more = not is_everywhere and not bindings[0].show
            (more if is_more else sections.setdefault(title, [])).append(bindings)
        # What moves the cursor is known to most, and comes last.
        sections[f"{self._pane}: moving and more"] = more
        parts = [line for section in sections.items() for line in self._section(*section)]
        if any(is_everywhere for _, is_everywhere in self._groups()):
            parts += self._marks()
        found = "Nothing has these words; “:” finds LoRAs, models and settings too."
        return Content("\n").join(parts or [Content.styled(found, MUTED)])

    def _marks(self) -> Iterator[Content]:
        signs = "  ".join(f"{sign} {kind}" for kind, (sign, _) in SIGNS.items())
        marks = [mark for mark in (*_MARKS, ("in the log", MUTED, signs)) if self._has(*mark[::2])]
        if marks:
            yield Content.styled("Marks", "bold $accent")
            for sign, style, words in marks:
                yield from self._lines(sign, style, words)
            yield Content("")
        if self._has("pictures", _PICTURES):
            yield Content.styled("Pictures", "bold $accent")
            yield from (Content.assemble("  ", line) for line in self._wrapped(_PICTURES, 2))

    def _has(self, *texts: str) -> bool:
        """Whether they have all the words that are looked for."""
        said = " ".join(texts).casefold()
        return all(word in said for word in self._words)

    def _lines(self, head: str, style: str, words: str) -> Iterator[Content]:
        """Words behind a key or a mark."""
        first, *rest = self._wrapped(words, KEY_WIDTH + 2)
        yield Content.assemble((f"  {head:<{KEY_WIDTH}}", style), first)
        yield from (Content.assemble(" " * (KEY_WIDTH + 2), line) for line in rest)

    def _wrapped(self, words: str, indent: int) -> list[Content]:
        return Content(words).wrap(min(WIDTH, self.app.size.width) - _AROUND - indent)

    def _groups(self) -> Iterable[tuple[list[Binding], bool]]:
        """Bindings of this app, those of one action together, the most used first."""
        groups: dict[tuple[object, str], list[Binding]] = {}
        for active in self._keys.values():
            if active.binding.tooltip and active.binding.id:
                groups.setdefault((active.node, active.binding.action), []).append(active.binding)
        in_order = sorted(groups.items(), key=lambda group: _place(group[1][0]))
        for (node, _), bindings in in_order:
            yield bindings, node is self._everywhere

    def _section(self, title: str, groups: list[list[Binding]]) -> Iterable[Content]:
        shown = [group for group in groups if self._has(title, group[0].tooltip)]
        if not shown:
            return
        yield Content.styled(title, "bold $accent")
        for bindings in shown:
            keys = " ".join(dict.fromkeys(map(self.app.get_key_display, bindings)))
            yield from self._lines(keys, "$primary", bindings[0].tooltip)
        yield Content("")


def _place(binding: Binding) -> tuple[int, bool]:
    """By subject, the most used first."""
    return SUBJECTS.index(subject_of(binding.id or "")), not binding.show
