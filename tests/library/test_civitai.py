"""Asking Civitai by hash, against a local server that speaks its protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.library.civitai import ask, by_hash_address, keep_answer
from engine.library.sidecars import read_sidecars

KNOWN = "ab" * 32
ANSWER = {"id": 1, "baseModel": "Pony", "trainedWords": ["neon"], "model": {"name": "Neon"}}
PATHS: list[str] = []


class Civitai(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        PATHS.append(self.path)
        hash = self.path.rpartition("/")[2]
        bodies = {KNOWN: (200, json.dumps(ANSWER)), "list": (200, "[]"), "html": (200, "<html>"),
                  "busy": (503, "{}")}  # fmt: skip
        status, body = bodies.get(hash, (404, '{"error": "Model not found"}'))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Civitai) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_answer_is_kept_where_it_is_read(site: str, tmp_path: Path) -> None:
    path = keep_answer(tmp_path / "neon.safetensors", ask(KNOWN, site))
    assert PATHS[-1] == f"/api/v1/model-versions/by-hash/{KNOWN}"
    (said,) = read_sidecars([(".civitai.info", path)])
    assert (said.title, said.base_model, said.trigger_words[0].words) == ("Neon", "Pony", ("neon",))


def test_what_is_unknown_there_is_kept_as_an_empty_table(site: str, tmp_path: Path) -> None:
    path = keep_answer(tmp_path / "neon.safetensors", ask("cd" * 32, site))
    assert json.loads(path.read_text()) == {}


@pytest.mark.parametrize("hash", ["list", "html", "busy"])
def test_other_answers_are_said_and_not_kept(site: str, hash: str) -> None:
    with pytest.raises(EngineError, match="Civitai"):
        ask(hash, site)


def test_a_site_that_is_not_there_is_said() -> None:
    with pytest.raises(EngineError, match="cannot be reached"):
        ask(KNOWN, "http://127.0.0.1:9")


def test_the_address_is_that_of_the_public_site() -> None:
    assert by_hash_address(KNOWN) == f"https://civitai.com/api/v1/model-versions/by-hash/{KNOWN}"


def test_an_answer_that_another_program_kept_stays(tmp_path: Path) -> None:
    path = tmp_path / "neon.civitai.info"
    path.write_text('{"trainedWords": ["neon"]}')
    keep_answer(tmp_path / "neon.safetensors", {})
    assert path.read_text() == '{"trainedWords": ["neon"]}'
