"""Many prompts with the model loaded once: in the host's queue, or in an engine of the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.errors import EngineError
from engine.generate.infotext import parse_infotext
from engine.generate.save import read_infotext
from engine.protocol.commands import PauseQueue, Unload
from tests.cli.terminal import ROOT
from tests.host.conftest import RunningHost
from tui_loraswitch.cli import main
from tui_loraswitch.commands import engine_run, generate_many

QUICK = ("--steps", "1", "--sampler", "euler")
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not end the test run in place of the engine."""
    monkeypatch.setattr(engine_run, "CLOSE_SECONDS", 60.0)


@pytest.fixture
def words(tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path) -> list[str]:
    """The command with the tiny model and its LoRAs."""
    own = ["--model", str(tiny_checkpoint), "--loras", str(tiny_loras)]
    return ["generate", *own, "--output", str(tmp_path / "out"), *QUICK]


@pytest.fixture
def prompts(tmp_path: Path) -> Callable[..., str]:
    def write(*lines: str) -> str:
        path = tmp_path / "prompts.txt"
        path.write_text("\n".join(lines), encoding="utf-8")
        return str(path)

    return write


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("where", ["host", "own engine"])
def test_each_line_has_its_own_settings_and_stack(
    where, words, prompts, loads, tiny_loras, request, capsys
) -> None:
    if where == "host":
        request.getfixturevalue("host")
    file = prompts(
        "# three prompts",
        "a fox --n blurry --d 7 --s 2 --w 64 --h 128 --am 0.5",
        "",
        '{"prompt": "a cat <lora:wash:0.25>", "seed": 9, "loras": ["ink:0.3:0"], "batch": 2}',
        "a dog --d 3,1",
    )
    device = () if where == "host" else ("--device", "cpu")
    assert main([*words, *device, "--lora", "neon:0.8", "--negative", "dark", "--file", file]) == 0
    fox, cat, dog = records(capsys)
    assert [one["line"] for one in (fox, cat, dog)] == [2, 4, 5]
    assert [one["prompt"] for one in (fox, cat, dog)] == [
        "a fox",
        "a cat <lora:wash:0.25>",
        "a dog",
    ]
    assert [[p["seed"] for p in one["pictures"]] for one in (fox, cat, dog)] == [
        [7],
        [9, 10],
        [3, 1],
    ]
    assert (fox["seed"], fox["warnings"]) == (7, [])
    assert fox["seconds"] > 0
    stacks = [
        [(m["name"], m["unet"], m["text_encoder"]) for m in one["stack"]] for one in (fox, cat, dog)
    ]
    assert stacks == [
        [("neon", 0.5, 0.5)],
        [("ink", 0.3, 0.0), ("wash", 0.25, 0.25)],
        [("neon", 0.8, 0.8)],
    ]
    info = parse_infotext(read_infotext(Path(fox["pictures"][0]["path"])) or "")
    assert (info.negative_prompt, info.steps, info.seed) == ("blurry", 2, 7)
    assert "<lora:neon:0.5>" in info.prompt
    with Image.open(fox["pictures"][0]["path"]) as image:
        assert image.size == (64, 128)
    info = parse_infotext(read_infotext(Path(dog["pictures"][1]["path"])) or "")
    assert (info.negative_prompt, info.seed) == ("dark", 1)
    assert len(loads) == 1


def test_pictures_of_the_host_are_those_of_an_own_engine(host, words, prompts, capsys) -> None:
    file = prompts("a fox --d 5", "a cat --d 6")
    pixels = []
    for more in ((), ("--own-engine", "--device", "cpu")):
        assert main([*words, *more, "--lora", "neon", "--file", file]) == 0
        for one in records(capsys):
            with Image.open(one["pictures"][0]["path"]) as image:
                pixels.append(image.tobytes())
    assert pixels[:2] == pixels[2:]
    assert pixels[0] != pixels[1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("fox --s 0", "line 3: A picture takes 1 to 500"),
        ("fox --ar 1", "line 3: “--ar”"),
        ("fox <lora:nothing:1>", "line 3: There is no LoRA “nothing”"),
        ("fox <lora:neon:x>", "line 3: “x” in the tag"),
        ("fox --w 63", "line 3: The width 63"),
        ("fox --d -2", "line 3: The seed -2"),
        ('{"prompt": "fox", "loras": ["neon:1:lbw=MAD"]}', "line 3: "),
        ('{"prompt": "fox", "clip_skip": 99999999999999999999}', "line 3: A batch and a clip skip"),
        ("(fox:101)", "line 3: A weight of 101"),
        ("x" * 100_001, "line 3: The prompt has 100,001 characters"),
    ],
)
def test_a_file_with_a_wrong_line_draws_nothing(
    line, reason, words, prompts, loads, tmp_path, capsys
) -> None:
    words = words[: -len(QUICK)]
    assert main([*words, "--file", prompts("one", "# two", line, "four")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert reason in output.err
    assert "1 line of 3 prompts cannot be drawn, so none was" in output.err
    assert not loads
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("fox", "--file", "prompts.txt"), "not both"),
        (("-", "--file", "prompts.txt"), "not both"),
        ((), "nothing to draw"),
        (("--file", "none.txt"), "there is no such file"),
        (("--file", "."), "not a file but a folder"),
        (("--file", "/dev/zero"), "not a file but a pipe"),
        (("fox", "--detach"), "loraswitch serve --detach starts one"),
        (("fox", "--detach", "--own-engine"), "loraswitch serve --detach starts one"),
    ],
)
def test_usage_that_cannot_be_meant(more, reason, words, capsys) -> None:
    assert main([*words, *more]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert reason in output.err


def test_a_schedule_of_the_line_counts_beside_a_sampler_of_the_command(
    host, words, prompts, capsys
) -> None:
    file = prompts(
        '{"prompt": "a", "schedule": "exponential", "steps": 2}',
        '{"prompt": "b", "sampler": "Euler Karras", "steps": 2}',
        '{"prompt": "c", "steps": 2}',
    )
    words = words[: -len(QUICK)]
    assert main([*words, "--sampler", "DPM++ 2M Karras", "--file", file]) == 0
    infos = [
        parse_infotext(read_infotext(Path(one["pictures"][0]["path"])) or "")
        for one in records(capsys)
    ]
    assert [(info.sampler, info.schedule) for info in infos] == [
        ("DPM++ 2M", "Exponential"),
        ("Euler", "Karras"),
        ("DPM++ 2M", "Karras"),
    ]


def start(*words: str, **streams: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tui_loraswitch", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **streams,
    )


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command in a process of its own, which does not outlive the test."""
    processes: list[subprocess.Popen[str]] = []

    def run(*words: str, **streams: Any) -> subprocess.Popen[str]:
        processes.append(start(*words, **streams))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_a_pipe_may_stay_open_between_prompts(host, words, started) -> None:
    process = started(*words, "-", stdin=subprocess.PIPE)

    def answer(line: str) -> dict[str, Any]:
        process.stdin.write(line)
        process.stdin.flush()
        found: dict[str, Any] = json.loads(process.stdout.readline())
        return found

    assert answer("a fox --d 4\n")["pictures"][0]["seed"] == 4
    wrong = answer("# a remark\n\nfox --s many\n")
    assert wrong == {"line": 4, "error": "--s takes a whole number, not “many”"}
    assert answer("a cat --d 6\n")["line"] == 5
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, err, process.returncode) == ("", "", 1)


def test_a_lora_that_the_model_does_not_take_fails_its_line_alone(
    host, words, prompts, loras, capsys
) -> None:
    file = prompts("a fox <lora:Aya:1>", "a cat")
    assert main([*words, "--loras", str(loras), "--file", file]) == 1
    refused, drawn = records(capsys)
    assert (refused["line"], refused["pictures"]) == (1, [])
    assert "Aya" in refused["error"]
    assert (drawn["line"], len(drawn["pictures"]), "error" in drawn) == (2, 1, False)


def test_more_lines_than_the_queue_is_given_at_a_time(
    host, words, prompts, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(generate_many, "MOST_OUTSTANDING", 2)
    queued: list[int] = []
    tell = host.host.session.tell

    def watched(*told: Any) -> None:
        tell(*told)
        queued.append(len(host.host.session.view.jobs))

    monkeypatch.setattr(host.host.session, "tell", watched)
    assert main([*words, "--file", prompts(*"abcdefg")]) == 0
    assert [one["line"] for one in records(capsys)] == [1, 2, 3, 4, 5, 6, 7]
    assert max(queued) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_leaving_drops_what_is_not_drawn(host, words, prompts, started, number) -> None:
    session = host.host.session
    session.send(PauseQueue())
    until(lambda: session.view.paused)
    process = started(*words, "--file", prompts(*(f"a fox {i}" for i in range(500))))
    until(lambda: len(session.view.jobs) == generate_many.MOST_OUTSTANDING)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == ("", 130 if number == signal.SIGINT else 128 + number)
    assert "The host's queue is paused" in err
    until(lambda: not session.view.jobs)


def test_a_reader_that_goes_away_drops_them_too(host, words, prompts, started) -> None:
    process = started(*words, "--file", prompts(*(f"a fox {i}" for i in range(50))))
    assert json.loads(process.stdout.readline())["line"] == 1
    process.stdout.close()
    assert process.wait(PATIENCE) == 141
    assert process.stderr.read() == ""
    until(lambda: not host.host.session.view.jobs)
    assert len(host.host.session.view.pictures) < 50


def test_a_host_that_ends_keeps_what_is_not_drawn(host, words, prompts, started) -> None:
    session = host.host.session
    session.send(PauseQueue())
    until(lambda: session.view.paused)
    process = started(*words, "--file", prompts("a fox", "a cat"))
    until(lambda: len(session.view.jobs) == 2)
    host.stop()
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == ("", 1)
    assert "What is not drawn stays in its queue" in err
    assert len(session.view.jobs) == 2


def test_detached_jobs_stay_with_the_host(host, words, prompts, capsys) -> None:
    session = host.host.session
    session.send(PauseQueue())
    until(lambda: session.view.paused)
    file = prompts("a fox --d 7", "fox --d 1,2")
    assert main([*words, "--lora", "neon:0.5", "--detach", "--file", file]) == 0
    assert main([*words, "--detach", "a cat"]) == 0
    found = records(capsys)
    assert [(one["line"], one["prompt"]) for one in found] == [
        (1, "a fox"),
        (2, "fox"),
        (2, "fox"),
        (1, "a cat"),
    ]
    assert [one["seed"] for one in found[:3]] == [7, 1, 2]
    assert [one["job"] for one in found] == [job.id for job in session.view.jobs]
    assert [[ref.unet for ref in job.stack] for job in session.view.jobs] == [[0.5]] * 3 + [[]]
    session.send(PauseQueue(False))
    until(lambda: not session.view.jobs)
    assert len(session.view.pictures) == 4


def test_paths_reach_the_host_from_the_folder_of_the_command(
    host: RunningHost, tiny_checkpoint, tiny_loras, home: Path, capsys
) -> None:
    (home / "words").mkdir()
    own = ("--model", os.path.relpath(tiny_checkpoint), "--loras", os.path.relpath(tiny_loras))
    here = ("--embeddings", "words", "--output", "here")
    assert main(["generate", "a fox", *own, *here, *QUICK]) == 0
    (path,) = capsys.readouterr().out.splitlines()
    assert Path(path).parent == home / "here"
    host.host.session.send(PauseQueue())
    until(lambda: host.host.session.view.paused)
    assert main(["generate", "a fox", *own, *here, *QUICK, "--detach"]) == 0
    (job,) = host.host.session.view.jobs
    assert (job.request.output, job.request.embeddings) == (home / "here", (home / "words",))


def test_half_characters_of_a_terminal_reach_no_socket(host, words, capsys) -> None:
    assert main([*words, "a \udcff fox", "--negative", "\udcfe"]) == 0
    (path,) = capsys.readouterr().out.splitlines()
    assert "a ? fox" in (read_infotext(Path(path)) or "")


def test_an_unloaded_model_is_loaded_again(host, words, prompts, loads, capsys) -> None:
    until(lambda: host.host.session.view.model is not None)
    for more in (["--file", prompts("a fox")], ["a fox"]):
        assert main(["unload"]) == 0
        assert host.host.session.view.model is None
        assert main([*words, *more]) == 0
    assert len(loads) == 3


@pytest.mark.parametrize("more", [("--file", "prompts.txt"), ("a fox",)])
def test_a_load_that_fails_ends_the_wait_whoever_asked_for_it(
    host, words, more, prompts, tmp_path, monkeypatch, started
) -> None:
    """The jobs would wait for ever."""
    session = host.host.session
    until(lambda: session.view.model is not None)
    failing = threading.Event()

    def no_model(*_: object) -> None:
        failing.wait(PATIENCE)
        raise EngineError("The disk is on fire.")

    monkeypatch.setattr("engine.session.worker.open_model", no_model)
    session.send(Unload())
    session.send(session.last_load)
    until(lambda: session.view.model is None and session.view.working == "load")
    prompts("a fox", "a cat")
    process = started(*words, *more, cwd=tmp_path)
    until(lambda: bool(session.view.jobs))
    failing.set()
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, err, process.returncode) == ("", "loraswitch: The disk is on fire.\n", 1)
    until(lambda: not session.view.jobs)
