"""Pictures to look at: the newest wish counts, jobs go first, and the wanted stack comes back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.files.picture_texts import MAKING, read_picture_texts
from engine.protocol.commands import (
    Audition,
    AuditionAhead,
    CancelAll,
    Draw,
    KeepAudition,
    Load,
    Prefetch,
    SetStack,
    Verify,
)
from engine.protocol.events import (
    Auditioned,
    CommandFailed,
    Done,
    GenerationFinished,
    ModelLoaded,
    PictureSaved,
    Superseded,
    Switched,
    Verified,
    WorkEnded,
)
from engine.protocol.making import decode_making
from engine.protocol.refs import LoraRef
from engine.protocol.view import EngineView
from engine.session import Session
from engine.session.audition_cache import AuditionCache
from engine.session.work import AheadWork, AuditionWork, PrefetchWork, Waiting
from engine.store.database import Database
from engine.store.pictures import PICTURES, PictureStore
from engine.switch.switcher import LoraSwitcher
from tests.session.test_session import PATIENCE, Watched, request


@dataclass
class WatchedWithIndex(Watched):
    """A session that keeps what it has hashed."""

    index: Path | None = None

    def __post_init__(self) -> None:
        assert self.index is not None
        self.store = self.index.parent / "store.db"
        self.session = Session(self._take, index=self.index, store=self.store)


@pytest.fixture
def watched(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[WatchedWithIndex]:
    watched = WatchedWithIndex(index=tmp_path / "cache" / "index.sqlite")
    watched.session.send(Load(tiny_checkpoint, device="cpu", dtype="float32"))
    watched.wait(ModelLoaded)
    watched.wait(WorkEnded)
    yield watched
    assert watched.session.close(PATIENCE)


@pytest.fixture
def neon(tiny_loras: Path) -> LoraRef:
    return LoraRef(tiny_loras / "neon.safetensors", 0.8)


@pytest.fixture
def ink(tiny_loras: Path) -> LoraRef:
    return LoraRef(tiny_loras / "styles" / "ink.safetensors")


def pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


def look(watched: Watched, audition: Audition) -> Auditioned:
    watched.session.send(audition)
    found = watched.wait(Auditioned)
    watched.wait(WorkEnded)
    return found


def test_it_is_the_picture_of_its_stack_and_the_wanted_one_is_live_again(
    watched: WatchedWithIndex, neon: LoraRef, ink: LoraRef, tmp_path: Path
) -> None:
    session = watched.session
    session.send(SetStack((ink,)))
    watched.wait(Switched)
    out = tmp_path / "out"
    seen = look(watched, Audition(request(out), (neon,)))
    assert seen.is_new
    assert (session.view.live, session.view.wanted) == ((ink,), (ink,))
    assert not out.exists(), "it is none of the pictures"
    assert session.view.jobs == session.view.pictures == ()
    session.send(Draw(request(out), (neon,)))
    assert pixels(seen.path) == pixels(watched.wait(PictureSaved).path)
    watched.wait(GenerationFinished)
    session.send(Verify())
    assert watched.wait(Verified).report.different == ()


def test_what_was_seen_is_found_again_also_by_the_next_session(
    watched: WatchedWithIndex, neon: LoraRef, tmp_path: Path
) -> None:
    wish = Audition(request(tmp_path), (neon,))
    first, again = look(watched, wish), look(watched, wish)
    assert (first.is_new, again.is_new) == (True, False)
    assert pixels(first.path) == pixels(again.path)
    assert look(watched, replace_stack(wish, replace(neon, unet=0.9))).is_new
    assert not look(watched, wish).is_new


def test_one_that_is_kept_is_as_if_it_had_been_drawn(
    watched: WatchedWithIndex, neon: LoraRef, tmp_path: Path
) -> None:
    session, wanted = watched.session, request(tmp_path / "out")
    seen = look(watched, Audition(wanted, (neon,)))
    session.send(KeepAudition(wanted, (neon,)))
    kept = watched.wait(PictureSaved)
    watched.wait(GenerationFinished)
    session.send(Draw(wanted, (neon,)))
    drawn = watched.wait(PictureSaved)
    watched.wait(GenerationFinished)
    assert pixels(kept.path) == pixels(seen.path) == pixels(drawn.path)
    texts = read_picture_texts(kept.path).texts
    assert texts == read_picture_texts(drawn.path).texts
    assert decode_making(texts[MAKING]).certificate is not None
    assert session.view.pictures == (kept, drawn)
    with Database(watched.store, PICTURES) as database:
        assert {row.path for row in PictureStore(database).find()} == {kept.path, drawn.path}
    session.send(KeepAudition(replace(wanted, seed=8), (neon,)))
    failed = watched.wait_for_any((CommandFailed,))
    assert isinstance(failed, CommandFailed)
    assert (failed.command, "no longer kept" in failed.message) == ("keep", True)


def replace_stack(wish: Audition, *stack: LoraRef) -> Audition:
    return Audition(wish.request, stack)


def test_the_newest_wish_wins(
    watched: WatchedWithIndex, neon: LoraRef, ink: LoraRef, tmp_path: Path
) -> None:
    session = watched.session
    slow = request(tmp_path, steps=400)
    first = session.send(Audition(slow, (neon,)))
    for _ in range(3):
        session.send(Audition(slow, (ink,)))
    session.send(Audition(request(tmp_path), (ink, neon)))
    assert [type(watched.wait_for_any((Superseded, Auditioned))) for _ in range(5)] == [
        *[Superseded] * 4,
        Auditioned,
    ]
    assert first
    watched.wait(WorkEnded)
    assert session.view.live == ()


def test_a_job_goes_first_and_the_look_comes_after_it(
    watched: WatchedWithIndex, neon: LoraRef, ink: LoraRef, tmp_path: Path
) -> None:
    session = watched.session
    session.send(Audition(request(tmp_path, steps=60), (neon,)))
    session.send(Draw(request(tmp_path / "out"), (ink,)))
    order = [watched.wait_for_any((GenerationFinished, Auditioned)) for _ in range(2)]
    assert [type(event) for event in order] == [GenerationFinished, Auditioned]
    session.send(SetStack(()))
    watched.wait(Switched)
    assert session.view.live == ()


def test_it_is_stopped_with_all_else_and_when_nobody_looks_any_more(
    watched: WatchedWithIndex, neon: LoraRef, tmp_path: Path
) -> None:
    session = watched.session
    for stop in (CancelAll(), Audition(None)):
        session.send(Audition(request(tmp_path, steps=400), (neon,)))
        session.send(stop)
        kinds = {type(watched.wait_for_any((Superseded, Done))) for _ in range(2)}
        assert kinds == {Superseded, Done}
        session.send(SetStack((neon,)))
        watched.wait(Switched)
        session.send(SetStack(()))
        watched.wait(Switched)
        assert session.view.live == ()


def test_a_file_that_does_not_fit_is_refused_and_changes_nothing(
    watched: WatchedWithIndex, neon: LoraRef, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"{}")
    session = watched.session
    session.send(SetStack((neon,)))
    watched.wait(Switched)
    session.send(Audition(request(tmp_path), (LoraRef(broken),)))
    failed = watched.wait_for_any((CommandFailed,))
    assert isinstance(failed, CommandFailed)
    assert (failed.command, failed.refused, failed.path) == ("audition", True, broken)
    assert session.view.live == session.view.wanted == (neon,)


def test_the_cache_is_bounded_and_drops_what_was_not_looked_at(tmp_path: Path) -> None:
    image = Image.effect_noise((64, 64), 50).convert("RGB")
    size = AuditionCache(tmp_path / "one").keep(image, "x").stat().st_size
    cache = AuditionCache(tmp_path / "cache", most_bytes=4 * size + size // 2)
    for number in range(4):
        cache.keep(image, f"{number}")
    assert cache.find("0") is not None, "looked at again"
    for number in range(4, 7):
        cache.keep(image, f"{number}")
    kept = {path.stem for path in (tmp_path / "cache").iterdir()}
    assert {"0", "6"} <= kept
    assert "1" not in kept
    assert len(kept) <= 4


def test_a_newer_wish_during_the_switch_is_no_failure(
    watched: WatchedWithIndex,
    neon: LoraRef,
    ink: LoraRef,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wishes = [Audition(request(tmp_path), (ink,))]
    write = LoraSwitcher._write

    def meanwhile(switcher: LoraSwitcher, *arguments: Any) -> None:
        if wishes:
            watched.session.send(wishes.pop())
        write(switcher, *arguments)

    monkeypatch.setattr(LoraSwitcher, "_write", meanwhile)
    watched.session.send(Audition(request(tmp_path), (neon,)))
    watched.wait(Superseded)
    watched.wait(Auditioned)
    watched.wait(WorkEnded)
    assert watched.session.view.live == ()


def test_a_file_that_was_written_anew_is_heard_anew(
    watched: WatchedWithIndex, neon: LoraRef, ink: LoraRef, tmp_path: Path
) -> None:
    path = Path(shutil.copy(neon.path, tmp_path / "mine.safetensors"))
    mine = LoraRef(path, 0.8)
    watched.session.send(SetStack((mine,)))
    watched.wait(Switched)
    before = pixels(look(watched, Audition(request(tmp_path), (mine,))).path)
    replacement = Path(shutil.copy(ink.path, tmp_path / "other"))
    replacement.replace(path)
    after = pixels(look(watched, Audition(request(tmp_path), (mine,))).path)
    assert after == pixels(
        look(watched, Audition(request(tmp_path), (LoraRef(ink.path, 0.8),))).path
    )
    assert after != before


def test_what_was_drawn_ahead_is_there_at_once(
    watched: WatchedWithIndex, neon: LoraRef, tmp_path: Path
) -> None:
    session, wanted = watched.session, request(tmp_path)
    session.send(AuditionAhead(wanted, (neon,)))
    watched.wait(Done)
    watched.wait(WorkEnded)
    assert session.view.live == session.view.wanted == ()
    seen = look(watched, Audition(wanted, (neon,)))
    assert not seen.is_new
    session.send(Draw(request(tmp_path / "out"), (neon,)))
    assert pixels(seen.path) == pixels(watched.wait(PictureSaved).path)
    watched.wait(GenerationFinished)
    # What cannot be drawn is nobody's fault yet.
    session.send(AuditionAhead(wanted, (LoraRef(tmp_path / "none.safetensors"),)))
    watched.wait(Done)


def test_drawing_ahead_gives_way_to_all_but_the_same_picture(tmp_path: Path) -> None:
    one, other = LoraRef(Path("/one.safetensors")), LoraRef(Path("/other.safetensors"))
    waiting, work = Waiting(), AheadWork("1", request(tmp_path), (one,))
    assert not waiting.delays(work, EngineView())
    waiting.audition = AuditionWork("2", request(tmp_path), (one,))
    assert not waiting.delays(work, EngineView()), "it is found when it is drawn"
    waiting.audition = AuditionWork("2", request(tmp_path), (other,))
    assert waiting.delays(work, EngineView())
    waiting.audition, waiting.wish = None, "3"
    assert waiting.delays(work, EngineView())


def test_reading_ahead_gives_way_to_a_look_at_another_file(tmp_path: Path) -> None:
    one, other = LoraRef(Path("/one.safetensors")), LoraRef(Path("/other.safetensors"))
    waiting, work = Waiting(), PrefetchWork("1", Prefetch(one))
    assert not waiting.delays(work, EngineView())
    waiting.audition = AuditionWork("2", request(tmp_path), (other,))
    assert waiting.delays(work, EngineView())
    waiting.audition = AuditionWork("2", request(tmp_path), (other, one))
    assert not waiting.delays(work, EngineView()), "it is what the look needs"
