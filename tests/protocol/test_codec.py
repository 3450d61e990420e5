"""Everything that is said comes out as it went in; anything else is refused in words."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from engine.protocol.codec import (
    ProtocolError,
    Refusal,
    decode_command,
    decode_from_host,
    encode_command,
    encode_event,
    encode_refusal,
    encode_view,
)
from engine.protocol.commands import AdjustStrength, CancelAll, SetDraft, SetStack
from engine.protocol.events import EventMessage, PictureSaved
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from tests.protocol.messages import COMMANDS, MESSAGES, VIEWS

patient = settings(deadline=None, suppress_health_check=list(HealthCheck))


@patient
@given(COMMANDS)
def test_commands_come_back_equal(command) -> None:
    assert decode_command(encode_command("a1", command)) == ("a1", command)


@patient
@given(MESSAGES)
def test_events_come_back_equal(message) -> None:
    assert decode_from_host(encode_event(message)) == message


@patient
@given(VIEWS)
def test_views_come_back_equal(view) -> None:
    assert decode_from_host(encode_view(view)) == view


def test_a_refusal_comes_back() -> None:
    assert decode_from_host(encode_refusal("no")) == Refusal("no")


@patient
@given(st.binary(max_size=200))
def test_garbage_is_refused_in_words(data: bytes) -> None:
    for decode in (decode_command, decode_from_host):
        with pytest.raises(ProtocolError) as refused:
            decode(data)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", str(refused.value))


@patient
@given(COMMANDS, st.data())
def test_a_damaged_command_is_refused_or_is_another_command(command, data) -> None:
    sent = bytearray(encode_command("a1", command))
    sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(sent[: data.draw(st.integers(0, len(sent)))])
    try:
        _, found = decode_command(cut)
    except ProtocolError:
        return
    # What is understood has fields of the right types: it can be sent again.
    assert decode_command(encode_command("b", found)) == ("b", found)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (["command", "", "CancelAll", {}], "id has 1 to 64"),
        (["command", "x" * 65, "CancelAll", {}], "id has 1 to 64"),
        (["command", "a", "Popen", {}], "no command of the name “Popen”"),
        (["command", "a", "SetStack", {"stack": [1]}], "Expected `object`"),
        (["command", "a", "Draw", {}], "missing required field `request`"),
        (["command", "a", "CancelJob", {"job": 7}], "Expected `str`, got `int`"),
    ],
)
def test_what_is_wrong_is_named(frame: list[object], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        decode_command(msgspec.msgpack.encode(frame))


def test_a_message_nested_deeply_is_refused() -> None:
    deep = b"\x91" * 100_000 + b"\xc0"
    frame = b"\x94" + msgspec.msgpack.encode("command") + msgspec.msgpack.encode("a")
    with pytest.raises(ProtocolError):
        decode_command(frame + msgspec.msgpack.encode("SetStack") + deep)


def test_unknown_fields_of_a_later_version_do_no_harm() -> None:
    frame = ["command", "a", "CancelAll", {"soon": True}]
    assert decode_command(msgspec.msgpack.encode(frame)) == ("a", CancelAll())


def test_names_that_are_not_utf_8_survive() -> None:
    path = Path("/loras/caf\udce9.safetensors")
    command = SetStack((LoraRef(path),))
    assert decode_command(encode_command("a", command))[1] == command
    saved = PictureSaved(path, 1, 8, 8, 1, "")
    assert saved.path == path


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_of_commands_are_finite(number: float) -> None:
    ref = LoraRef("/loras/ink.safetensors", number)
    for command in (SetStack((ref,)), AdjustStrength(ref.path, number)):
        with pytest.raises(ProtocolError, match="not finite"):
            decode_command(encode_command("a", command))


def test_paths_of_commands_are_absolute() -> None:
    with pytest.raises(ProtocolError, match="Path cannot be made of"):
        decode_command(encode_command("a", AdjustStrength(Path("ink.safetensors"), 0.1)))


def test_half_characters_in_texts_become_question_marks() -> None:
    """Of names that are not UTF-8 in infotexts, and of what terminals hand over."""
    odd = Path("/loras/caf\udce9.safetensors")
    saved = PictureSaved(odd, 1, 64, 64, 20, "<lora:caf\udce9:1>")
    message = decode_from_host(encode_event(EventMessage(1, "cpu", None, 0.0, saved)))
    assert isinstance(message, EventMessage)
    assert message.event == structs.replace(saved, infotext="<lora:caf?:1>")
    _, command = decode_command(
        encode_command("a", SetDraft(GenerateRequest("a \ud83d", Path("/out"))))
    )
    assert command == SetDraft(GenerateRequest("a ?", Path("/out")))
