"""`switch`, `queue`, `unload` and `verify` on a host that runs, with a real, tiny model."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from engine.protocol.commands import PauseQueue, SetStack
from engine.protocol.events import JobChanged
from engine.protocol.refs import LoraRef
from engine.session import Session
from tests.cli.test_import_cost import TORCH, run
from tui_loraswitch.cli import main

PATIENCE = 60.0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def session(host) -> Session:
    until(lambda: host.host.session.view.model is not None)
    session: Session = host.host.session
    return session


@pytest.fixture
def queued(session, tiny_loras, tmp_path, capsys) -> list[str]:
    """Ids of three jobs that wait in a paused queue."""
    session.send(PauseQueue())
    until(lambda: session.view.paused)
    file = tmp_path / "prompts.txt"
    file.write_text("a fox --d 7 --s 1\na cat <lora:neon:0.5> --s 1\na \x1b[31mdog --s 1\n")
    words = ("--file", str(file), "--loras", str(tiny_loras), "--output", str(tmp_path / "out"))
    assert main(["generate", *words, "--detach"]) == 0
    return [json.loads(line)["job"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    "words",
    [
        ("switch", "--base"),
        ("switch", "neon"),
        ("queue",),
        ("queue", "--json"),
        ("queue", "drop", "--all"),
        ("queue", "pause"),
        ("queue", "go-on", "--device", "cuda:1"),
        ("unload",),
    ],
)
def test_without_a_host_they_say_so(words, capsys) -> None:
    assert main(list(words)) == 3
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "loraswitch: No host runs; loraswitch serve starts one.\n"


# switch


def test_a_stack_is_live_and_goes_again(session, tiny_loras, capsys) -> None:
    folders = ("--loras", str(tiny_loras))
    assert main(["switch", "neon:0.8", "styles/ink:0.4:0", *folders]) == 0
    neon = LoraRef(tiny_loras / "neon.safetensors", 0.8, 0.8)
    ink = LoraRef(tiny_loras / "styles/ink.safetensors", 0.4, 0.0)
    assert session.view.live == session.view.wanted == (neon, ink)
    output = capsys.readouterr()
    assert output.out.startswith("neon 0.80 + ink 0.40/0.00 is live: 70 tensors written in ")
    assert output.out.endswith("s\n")
    assert output.err == ""
    assert main(["switch", "--base", "--json"]) == 0
    assert session.view.live == session.view.wanted == ()
    found = json.loads(capsys.readouterr().out)
    assert (found["stack"], found["merged"], found["restored"]) == ([], 0, 70)
    assert found["milliseconds"] > 0


@pytest.mark.parametrize("words", [(), ("neon", "--base")])
def test_a_switch_needs_loras_or_the_base(words, capsys) -> None:
    assert main(["switch", *words]) == 2
    assert "Name LoRAs to switch to, or --base" in capsys.readouterr().err


def test_a_lora_that_does_not_fit_leaves_what_is_live(session, tiny_loras, loras, capsys) -> None:
    both = ("--loras", str(tiny_loras), "--loras", str(loras))
    assert main(["switch", "wash", *both]) == 0
    live = session.view.live
    assert main(["switch", "Aya", *both]) == 1
    assert main(["switch", "nothing", *both]) == 2
    output = capsys.readouterr()
    assert "Aya" in output.err
    assert "There is no LoRA “nothing”" in output.err
    assert session.view.live == live != ()


def test_a_switch_loads_an_unloaded_model(session, tiny_loras, tiny_checkpoint, capsys) -> None:
    assert main(["switch", "neon", "--loras", str(tiny_loras)]) == 0
    assert main(["unload"]) == 0
    assert session.view.model is None
    assert main(["switch", "wash", "--loras", str(tiny_loras)]) == 0
    assert session.view.model.path == tiny_checkpoint
    assert [ref.name for ref in session.view.live] == ["wash"]


def test_a_number_too_large_is_no_strength(session, tiny_loras, capsys) -> None:
    assert main(["switch", f"neon:{'9' * 400}", "--loras", str(tiny_loras)]) == 2
    assert "There is no LoRA" in capsys.readouterr().err


def test_one_picture_waits_for_a_paused_queue_and_says_so(session, tmp_path, capsys) -> None:
    session.send(PauseQueue())
    until(lambda: session.view.paused)
    goes_on = threading.Thread(
        target=lambda: (until(lambda: bool(session.view.jobs)), session.send(PauseQueue(False)))
    )
    goes_on.start()
    assert main(["generate", "fox", "--steps", "1", "--output", str(tmp_path / "out")]) == 0
    goes_on.join()
    assert "The host's queue is paused" in capsys.readouterr().err


# queue


def test_the_queue_is_shown(queued, capsys) -> None:
    assert main(["queue"]) == 0
    paused, *rows = capsys.readouterr().out.splitlines()
    assert "the queue is paused" in paused
    cells = [row.split() for row in rows]
    assert [cell[0] for cell in cells] == [id[:8] for id in queued]
    assert cells[0][1:] == ["waiting", "0/1", "7", "base", "a", "fox"]
    assert cells[1][4:] == ["neon", "0.50", "a", "cat", "<lora:neon:0.5>"]
    assert "\x1b" not in rows[2]
    assert main(["queue", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [job["id"] for job in found] == queued
    assert [job["prompt"] for job in found] == ["a fox", "a cat <lora:neon:0.5>", "a \x1b[31mdog"]


def test_the_status_says_that_the_queue_is_paused(session, queued, capsys) -> None:
    assert main(["status"]) == 0
    assert f"· {len(queued)} jobs in the queue (paused) ·" in capsys.readouterr().out


def test_an_empty_queue_is_said_to_be(session, capsys) -> None:
    assert main(["queue"]) == 0
    assert capsys.readouterr().out == "the queue is empty\n"


def test_a_long_queue_is_shown_and_attached_to(session, tmp_path, capsys) -> None:
    session.send(PauseQueue())
    until(lambda: session.view.paused)
    (tmp_path / "many.txt").write_text("a fox in the snow\n" * 400)
    words = ("--file", str(tmp_path / "many.txt"), "--output", str(tmp_path))
    assert main(["generate", *words, "--detach"]) == 0
    assert len(session.view.jobs) == 400
    capsys.readouterr()
    assert main(["queue", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 400
    assert main(["queue", "drop", "--all"]) == 0
    assert capsys.readouterr().out == "400 jobs dropped\n"


def test_jobs_are_dropped_by_the_beginning_of_their_ids(session, queued, capsys) -> None:
    first, second, third = queued
    assert main(["queue", "drop", first[:10], third, first]) == 0
    assert capsys.readouterr().out == "2 jobs dropped\n"
    assert [job.id for job in session.view.jobs] == [second]
    assert main(["queue", "drop", "--all"]) == 0
    assert session.view.jobs == ()


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (("2", "--first"), "201"),
        (("0", "--last"), "120"),
        (("2", "--before", "1"), "021"),
        (("0", "--first"), "012"),
        (("2", "--last"), "012"),
    ],
)
def test_a_job_is_moved(words, order, session, queued) -> None:
    named = [queued[int(word)][:12] if word.isdecimal() else word for word in words]
    assert main(["queue", "move", *named]) == 0
    assert [job.id for job in session.view.jobs] == [queued[int(i)] for i in order]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("drop",), "Name the jobs to drop"),
        (("drop", "--all", "X"), "Name the jobs to drop"),
        (("drop", "nothing"), "No job “nothing” is in the queue"),
        (("drop", ""), "No job “”"),
        (("move", "X", "--before", "X"), "cannot be drawn before itself"),
        (("move", "X", "--before", "nothing"), "No job “nothing”"),
        (("retry", "nothing"), "No job “nothing”"),
    ],
)
def test_ids_that_mean_nothing(words, reason, session, queued, capsys) -> None:
    assert main(["queue", *(queued[0] if word == "X" else word for word in words)]) == 2
    assert reason in capsys.readouterr().err
    assert [job.id for job in session.view.jobs] == queued


def test_an_id_that_means_several(session, queued, capsys) -> None:
    session.send(PauseQueue(), "unused")
    (job,) = [job for job in session.view.jobs if job.id == queued[0]]
    from engine.protocol.commands import Draw

    for id in ("same-1", "same-2", "same"):
        session.send(Draw(job.request), id)
    assert main(["queue", "drop", "same-"]) == 2
    assert "“same-” means 2 jobs (same-1, same-2)" in capsys.readouterr().err
    assert main(["queue", "drop", "same"]) == 0, "a whole id means that job alone"
    assert [job.id for job in session.view.jobs] == [*queued, "same-1", "same-2"]


def test_the_queue_pauses_and_goes_on(session, queued, capsys) -> None:
    assert main(["queue", "go-on"]) == 0
    until(lambda: not session.view.jobs)
    assert len(session.view.pictures) == 3
    assert main(["queue", "pause"]) == 0
    assert session.view.paused
    assert capsys.readouterr().out == "the queue goes on\nthe queue is paused\n"


def test_a_job_that_was_set_aside_waits_again(session, queued, capsys) -> None:
    job = session.view.jobs[1]
    session.tell(JobChanged(structs.replace(job, state="set aside", reason="The host died twice.")))
    assert main(["queue"]) == 0
    assert "set aside" in (shown := capsys.readouterr().out)
    assert "(The host died twice.)" in shown
    assert main(["queue", "retry", job.id[:12]]) == 0
    assert session.view.jobs[1].state == "waiting"
    assert main(["queue", "retry", job.id[:12]]) == 1
    assert "was not set aside" in capsys.readouterr().err


def test_the_job_that_is_drawn_stays_first(session, queued, capsys) -> None:
    session.tell(JobChanged(structs.replace(session.view.jobs[0], state="running")))
    first, second, third = queued
    assert main(["queue", "move", third, "--first"]) == 0
    assert [job.id for job in session.view.jobs] == [first, third, second]
    for words in ((first, "--last"), (third, "--before", first)):
        assert main(["queue", "move", *words]) == 2
        assert "is being drawn already" in capsys.readouterr().err
    session.tell(JobChanged(structs.replace(session.view.jobs[0], state="waiting")))


# unload


def test_memory_is_given_back_and_the_rest_is_kept(session, queued, tiny_loras, capsys) -> None:
    session.send(SetStack((LoraRef(tiny_loras / "neon.safetensors"),)))
    until(lambda: bool(session.view.live))
    before = session.view.jobs
    assert main(["unload"]) == 0
    assert "stack and queue are kept" in capsys.readouterr().out
    view = session.view
    assert (view.model, view.memory.model, view.live) == (None, 0, ())
    assert [ref.name for ref in view.wanted] == ["neon"]
    assert view.jobs == before
    assert main(["unload"]) == 0, "again is no fault"


# verify


@pytest.mark.parametrize("as_json", [False, True])
def test_the_model_of_the_host_is_verified_as_it_is(session, tiny_loras, as_json, capsys) -> None:
    session.send(SetStack((LoraRef(tiny_loras / "neon.safetensors"),)))
    until(lambda: bool(session.view.live))
    before = session.view
    assert main(["verify", *(["--json"] if as_json else [])]) == 0
    output = capsys.readouterr()
    if as_json:
        found = json.loads(output.out)
        assert (found["verified"], found["switches"], found["weights"]) == (True, 0, 222_156)
    else:
        assert output.out == "base verified: 0 of 222,156 weights differ\n"
    assert output.err == ""
    assert (session.view.live, session.view.wanted) == (before.live, before.wanted)


def test_a_base_that_is_spoilt_on_the_host_is_found(session, monkeypatch, capsys) -> None:
    from engine.switch.switcher import LoraSwitcher

    whole = LoraSwitcher.verify

    def spoilt(self: LoraSwitcher) -> Any:
        self._base._parts["unet"].conv_in.weight.data[0, 0, 0, 0] += 1
        return whole(self)

    monkeypatch.setattr(LoraSwitcher, "verify", spoilt)
    assert main(["verify"]) == 1
    assert "NOT verified" in capsys.readouterr().out


def test_others_are_not_switched_through_the_library(session, tiny_loras, capsys) -> None:
    assert main(["verify", "--switches", "3", "--loras", str(tiny_loras)]) == 2
    assert "--own-engine" in capsys.readouterr().err
    assert session.view.live == ()


def test_an_own_engine_verifies_by_switching(session, tiny_loras, tiny_checkpoint, capsys) -> None:
    words = ("--loras", str(tiny_loras), "--model", str(tiny_checkpoint), "--device", "cpu")
    assert main(["verify", "--own-engine", *words]) == 0
    assert "after 3 switches" in capsys.readouterr().out
    assert session.view.live == ()


# No torch in a client of a host.


@pytest.mark.parametrize(
    "words",
    [
        "generate fox --lora neon:0.5 --steps 1",
        "generate fox --steps 1 --json",
        "generate --file prompts.txt",
        "generate fox --detach --steps 1",
        "switch neon",
        "queue",
        "queue --json",
        "queue pause",
        "queue drop --all",
        "status",
        "status --json",
        "verify",
        "unload",
    ],
)
def test_no_torch_is_imported(words: str, session, tiny_loras, tiny_checkpoint, home) -> None:
    (home / "prompts.txt").write_text("a fox <lora:neon:1> --s 1\n")
    more: tuple[str, ...] = ()
    if words.startswith(("generate", "switch")):
        more = ("--loras", str(tiny_loras))
    if words.startswith(("generate", "verify")):
        more = (*more, "--model", str(tiny_checkpoint))
    code = f"""
import sys
from tui_loraswitch.cli import main
code = main(sys.argv[1:])
heavy = ({TORCH} | {{'numpy', 'safetensors', 'textual'}}) & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""
    done: subprocess.CompletedProcess[str] = run(code, *words.split(), *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
