"""The help screen: the keys of the focused pane, then those of the whole app."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_loraswitch.look.theme import FAINT, MUTED
from tui_loraswitch.panes.log import SIGNS

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


class HelpScreen(ModalScreen[None]):
    """Keys and marks; any of `?`, Escape, q closes it."""

    DEFAULT_CSS = """
    HelpScreen {
        align: center middle;
        & > VerticalScroll {
            width: 78; max-width: 100%; height: auto; max-height: 100%;
            border: round $border; border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
            background: $background; padding: 0 2; scrollbar-size-vertical: 1;
        }
        & Static { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,f1", "dismiss", "close", id="help.close",
                tooltip="Close the help"),
    ]  # fmt: skip

    def __init__(self, pane: str, keys: Mapping[str, ActiveBinding], everywhere: object) -> None:
        super().__init__()
        self._pane = pane
        self._keys = keys
        self._everywhere = everywhere
        self._shown = Static(markup=False)

    def compose(self) -> ComposeResult:
        """One text that scrolls."""
        with VerticalScroll() as box:
            box.border_title = "Keys"
            box.border_subtitle = "Escape closes"
            yield self._shown

    def on_resize(self) -> None:
        """Wrap the text to the width."""
        self._shown.update(self._text())

    def _text(self) -> Content:
        here: list[list[Binding]] = []
        everywhere: list[list[Binding]] = []
        for binding, is_everywhere in self._groups():
            (everywhere if is_everywhere else here).append(binding)
        parts = [*self._section(self._pane, here), *self._section("Everywhere", everywhere)]
        parts.append(Content.styled("Marks", "bold $accent"))
        for sign, style, words in _MARKS:
            parts += self._lines(sign, style, words)
        signs = "  ".join(f"{sign} {kind}" for kind, (sign, _) in SIGNS.items())
        parts += self._lines("in the log", MUTED, signs)
        parts += [Content(""), Content.styled("Pictures", "bold $accent")]
        parts += [Content.assemble("  ", line) for line in self._wrapped(_PICTURES, 2)]
        return Content("\n").join(parts)

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
        in_order = sorted(groups.items(), key=lambda group: not group[1][0].show)
        for (node, _), bindings in in_order:
            yield bindings, node is self._everywhere

    def _section(self, title: str, groups: list[list[Binding]]) -> Iterable[Content]:
        if not groups:
            return
        yield Content.styled(title, "bold $accent")
        for bindings in groups:
            keys = " ".join(dict.fromkeys(map(self.app.get_key_display, bindings)))
            yield from self._lines(keys, "$primary", bindings[0].tooltip)
        yield Content("")
