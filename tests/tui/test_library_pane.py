"""The library list: filter, folders, hidden LoRAs, hostile names, ten thousand rows."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual.screen import Screen

from engine.library import searching
from engine.library.entry import LibraryEntry
from engine.library.search import SearchIndex
from engine.protocol.commands import SetStack, ToggleLora
from tui_loraswitch.panes import library_view
from tui_loraswitch.panes.library import FilterInput, LibraryPane
from tui_loraswitch.panes.lora_list import LoraList
from tui_loraswitch.panes.rows import FolderRow, LoraRow

from .conftest import write_lora


def shown_names(driver) -> list[str]:
    return [
        row.name + "/" if isinstance(row, FolderRow) else row.entry.name for row in driver.list.rows
    ]


def entries(count: int) -> tuple[LibraryEntry, ...]:
    root = Path("/loras")
    return tuple(
        LibraryEntry(
            root / f"f{i % 50}" / f"lora {i}.safetensors", root, 1000 + i, i, i, "LoRA", 16,
            base_model="SDXL",
        )
        for i in range(count)
    )  # fmt: skip


def find_first(driver, query: str, monkeypatch) -> LibraryPane:
    """Show the first row that a query finds, before all others."""
    monkeypatch.setattr(searching, "PIECE", 1)
    monkeypatch.setattr(library_view, "SECONDS", -1.0)
    library = driver.app.main.library
    library.view.filter(query)
    library._show()
    return library


async def test_folders_come_first_and_the_cursor_starts_on_a_lora(start):
    async with start() as driver:
        assert shown_names(driver) == ["styles/", "deep/", "night", "ink", "neon", "aya", "broken"]
        assert driver.list.highlighted.name == "night"
        assert "LoRAs 5" in driver.text
        assert "1 hidden: not SDXL" in driver.text


async def test_the_list_narrows_while_typing_and_escape_shows_all_again(start):
    async with start() as driver:
        await driver.press("slash", *"neo")
        await driver.until(lambda: shown_names(driver) == ["styles/", "neon"])
        assert "LoRAs 1 of 6" in driver.text
        await driver.press("enter")
        assert driver.app.focused is driver.list
        assert driver.list.highlighted.name == "neon"
        await driver.press("slash", "escape")
        await driver.until(lambda: len(shown_names(driver)) == 7)


async def test_a_letter_is_painted_at_once_and_with_what_it_finds(start, monkeypatch):
    async with start() as driver:
        screen = driver.app.screen
        screen._update_timer.stop()
        painted: list[set[str | None]] = []
        paint = Screen._on_timer_update

        def paint_and_note(self) -> None:
            if self._dirty_widgets:
                painted.append({widget.id for widget in self._dirty_widgets})
            paint(self)

        monkeypatch.setattr(Screen, "_on_timer_update", paint_and_note)
        letters = screen.query_one(FilterInput)
        screen.note_key()
        letters.value = "neo"
        # The pilot's own waiting would paint.
        async with asyncio.timeout(20):
            while letters not in screen._dirty_widgets:
                await asyncio.sleep(0)
            # As the next frame would.
            screen._on_timer_update()
            while not any("lora-list" in ids for ids in painted):
                await asyncio.sleep(0.01)
        assert painted[0] >= {"filter", "lora-list", "library"}
        assert "LoRAs 1 of 6" in driver.text


async def test_a_letter_waits_but_a_moment_for_what_it_finds(start, monkeypatch):
    async with start() as driver:
        screen = driver.app.screen
        monkeypatch.setattr(LibraryPane, "filter_now", lambda self: None)
        letters = screen.query_one(FilterInput)
        screen.note_key()
        letters.value = "neo"
        async with asyncio.timeout(20):
            while letters not in screen._dirty_widgets:
                await asyncio.sleep(0)
            while letters in screen._dirty_widgets:
                await asyncio.sleep(0.01)


async def test_the_size_of_the_screen_said_anew_lays_nothing_out(start, monkeypatch):
    async with start() as driver:
        laid_out: list[Screen] = []
        monkeypatch.setattr(Screen, "_refresh_layout", lambda self, **_: laid_out.append(self))
        driver.app.main.room.bring("library")
        await driver.press("/")
        assert laid_out == []


async def test_a_letter_in_the_filter_lays_nothing_out_anew(start, monkeypatch):
    laid_out: list[str] = []
    lay_out = Screen._refresh_layout

    def counting(self, *args, **options):
        laid_out.append(self.query_one(FilterInput).value)
        return lay_out(self, *args, **options)

    async with start() as driver:
        await driver.press("/", *"a placeholder's length")
        monkeypatch.setattr(Screen, "_refresh_layout", counting)
        await driver.press(*" and more than the line has room for, to its")
        # It is still scrolled to what is typed.
        await driver.press("e", "n", "d")
        await driver.sees("to itsend")
        assert laid_out == []


async def test_the_first_are_shown_at_once_and_the_rest_follows(start, monkeypatch):
    """The cursor is back on what it was on as soon as that is found."""
    async with start() as driver:
        await driver.highlight("aya")
        pane = find_first(driver, "-zzz", monkeypatch)
        assert shown_names(driver) == ["styles/", "deep/", "night"]
        assert pane.highlighted.name == "night"
        assert driver.list._reported.name == "aya", "nobody is told of what may be left at once"
        assert len(pane.view.all_found.numbers) == 5, "whoever asks for all gets all"
        pane.view.filter("-zzz")
        pane._show()
        await driver.until(lambda: len(shown_names(driver)) == 7)
        assert "LoRAs 5 of 6" in driver.text
        assert driver.list.highlighted.name == "aya"


async def test_the_cursor_goes_to_the_name_that_has_what_is_typed_best(start, loras):
    for name in ("pink", "styles/deep/thinking", "styles/inks"):
        write_lora(loras / f"{name}.safetensors")
    async with start() as driver:
        await driver.press("slash", *"ink")
        await driver.until(lambda: driver.list.highlighted.name == "ink")
        assert shown_names(driver)[1:] == ["deep/", "thinking", "ink", "inks", "pink"]
        await driver.press("s")
        await driver.until(lambda: driver.list.highlighted.name == "inks")
        await driver.press("escape", "slash", *"pi")
        await driver.until(lambda: driver.list.highlighted.name == "pink")


async def test_the_best_name_counts_more_than_what_the_cursor_was_on(start, monkeypatch):
    """Also when that is found later."""
    async with start() as driver:
        await driver.highlight("neon")
        library = find_first(driver, "n -zzz", monkeypatch)
        assert driver.list._sought is not None
        driver.list.move_to_one_of(library.view.best_named)
        await driver.until(lambda: library.view.found.is_complete)
        assert driver.list.highlighted.name == "night"
        assert driver.list._reported.name == "night"


async def test_a_filter_without_matches_says_so(start):
    async with start() as driver:
        await driver.press("slash", *"zzz")
        await driver.until(lambda: "nothing matches “zzz”" in driver.text)


async def test_folders_close_and_open(start):
    async with start() as driver:
        await driver.press("home", "enter")
        assert shown_names(driver) == ["styles/", "aya", "broken"]
        await driver.press("l")
        assert "ink" in shown_names(driver)
        await driver.highlight("night")
        await driver.press("h", "h")
        assert "night" not in shown_names(driver)


async def test_hidden_loras_can_be_seen_but_not_switched_to(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("H")
        await driver.highlight("old15")
        (row,) = [line for line in driver.screen if "! old15" in line]
        assert "for SD 1.5" in row
        await driver.press("enter", "space")
        assert session.sent(SetStack, ToggleLora) == []
        assert driver.toasts[0] == "old15 is made for SD 1.5, not for SDXL."


async def test_a_truncated_file_says_why_in_the_list_and_in_the_details(start, session):
    async with start() as driver:
        await driver.load()
        await driver.highlight("broken")
        await driver.press("enter")
        assert session.sent(SetStack, ToggleLora) == []
        assert "! broken" in driver.text
        assert "truncated" in driver.text
        assert "download it again" in driver.toasts[0]


async def test_the_order_changes_by_key(start):
    async with start() as driver:
        await driver.press("s")
        assert shown_names(driver) == ["aya", "broken", "ink", "neon", "night"]
        assert "by name" in driver.text
        await driver.press("s", "s", "s")
        assert "largest first" in driver.text
        sizes = [row.entry.size for row in driver.list.rows if isinstance(row, LoraRow)]
        assert sizes == sorted(sizes, reverse=True)


async def test_details_follow_the_cursor_with_a_picture(start):
    async with start() as driver:
        await driver.highlight("neon")
        await driver.sees("trigger neon glow, night", "SDXL LoRA r4 α2", "best at 0.8")
        picture = driver.app.main.details.query_one("HalfCellPicture")
        await driver.until(lambda: picture.display and picture.size.area > 0)
        strip = picture.render_line(1)
        assert next(iter(strip)).style.color.triplet == (200, 20, 120)
        await driver.highlight("ink")
        await driver.until(lambda: not picture.display)


async def test_names_of_strangers_are_neither_markup_nor_escapes(start, loras, session):
    write_lora(
        loras / "[red]x[bold].safetensors",
        trigger="[blink]w[/blink]",
        **{"modelspec.title": "[bold]t[/bold]"},
    )
    write_lora(loras / "\x1b[31mred\x07.safetensors", trigger="\x1b]0;evil\x07word\u202e")
    async with start() as driver:
        await driver.load()
        await driver.switch_to("[red]x[bold]")
        await driver.sees("[bold]t[/bold]", "[blink]w[/blink]")
        text = driver.text
        assert "● [red]x[bold]" in text
        assert driver.screen[0].rstrip().endswith("● [red]x[bold] 1.00")
        assert any("switched to [red]x[bold] 1.00" in line for line in driver.log)
        await driver.switch_to("red")
        assert not any(ord(char) < 32 or char == "\u202e" for char in driver.text.replace("\n", ""))
        assert "● red" in driver.text


async def test_errors_with_markup_are_shown_as_they_are(start):
    from engine.protocol.events import CommandFailed

    async with start() as driver:
        await driver.emit(CommandFailed("load", "[link=x]a[/link] \x1b[2Jb"))
        assert driver.toasts == ["[link=x]a[/link] b"]
        assert "[link=x]a[/link] b" in driver.text


async def test_ten_thousand_rows_draw_only_what_is_seen(start, monkeypatch):
    drawn: list[int] = []
    draw = LoraList.render_line

    def counting(self: LoraList, y: int):
        drawn.append(y)
        return draw(self, y)

    monkeypatch.setattr(LoraList, "render_line", counting)
    async with start() as driver:
        library = driver.app.main.library
        await driver.press("s")
        library.show_index(SearchIndex.of(entries(10_000)), is_complete=True)
        await driver.pilot.pause()
        assert len(driver.list.rows) == 10_000
        height = driver.list.size.height
        drawn.clear()
        await driver.press("end")
        assert driver.list.highlighted.name == "lora 9999"
        assert 0 < len(drawn) <= 3 * height
        drawn.clear()
        await driver.press("up")
        assert len(drawn) <= height
        drawn.clear()
        library.view.filter('"lora 77"')
        library._show()
        await driver.pilot.pause()
        assert library.view.shown == 111
        assert len(drawn) <= 3 * height


async def test_what_is_known_is_listed_while_the_scan_goes_on(start):
    async with start() as driver:
        library = driver.app.main.library
        library.show_index(SearchIndex.of(entries(3)), is_complete=False)
        await driver.sees("LoRAs 3", "reading …")
        library.show_index(SearchIndex.of(entries(4)), is_complete=True)
        await driver.sees("LoRAs 4")
        assert "reading …" not in driver.text


async def test_an_empty_library_says_what_to_do(start):
    async with start() as driver:
        driver.app.main.library.show_index(SearchIndex.of(()), is_complete=True)
        await driver.sees("no LoRAs found; --loras")


async def test_large_folders_start_closed(start):
    async with start() as driver:
        root = Path("/loras")
        many = tuple(
            LibraryEntry(root / "a" / f"{i}.safetensors", root, 1, 1, i, base_model="SDXL")
            for i in range(101)
        )
        driver.app.main.library.show_index(SearchIndex.of(many), is_complete=True)
        assert [row.loras for row in driver.list.rows] == [101]


async def test_several_library_folders_keep_their_names(start, settings):
    async with start() as driver:
        found = tuple(
            LibraryEntry(Path(root) / "same.safetensors", Path(root), 1, 1, 1, base_model="SDXL")
            for root in ("/disk/a", "/disk/b")
        )
        driver.app.main.library.show_index(SearchIndex.of(found), is_complete=True)
        assert shown_names(driver) == ["a/", "same", "b/", "same"]


async def test_library_folders_of_one_name_are_told_apart(start):
    places = (("/disk/loras", "c"), ("/other/loras", "b"), ("/disk/loras", "a"), ("/x/more", "d"))
    async with start() as driver:
        found = [
            LibraryEntry(Path(root) / f"{name}.safetensors", Path(root), 1, 1, 1, base_model="SDXL")
            for root, name in places
        ]
        library = driver.app.main.library
        library.show_index(SearchIndex.of(found), is_complete=True)
        names = ["disk/loras/", "a", "c", "more/", "d", "other/loras/", "b"]
        assert shown_names(driver) == names


async def test_a_variant_of_sdxl_is_shown_and_found(start, loras):
    write_lora(loras / "horse.safetensors", ss_sd_model_name="ponyDiffusionV6XL.safetensors")
    async with start() as driver:
        await driver.press("slash", *"base:pony")
        await driver.until(lambda: shown_names(driver) == ["horse"])
        await driver.until(lambda: "SDXL Pony" in driver.text)
        row = next(line for line in driver.text.splitlines() if "○ horse" in line)
        assert "Pony" in row
