"""Jobs of a dead host that somebody else draws are not drawn again by the next one."""

from __future__ import annotations

from pathlib import Path

from engine.host.left_jobs import take_back
from engine.host.runtime import HostPlace
from engine.host.saved import Saved, encode_saved, read_saved
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest


def test_jobs_are_taken_back_and_the_rest_stays(place: HostPlace, tmp_path: Path) -> None:
    state = tmp_path / "host.json"
    assert take_back(place, state, {"a"}) == 0
    assert not state.exists()

    jobs = tuple(Job(id, GenerateRequest("a fox", tmp_path, seed=1)) for id in "abc")
    before = Saved(wanted=(LoraRef("/neon.safetensors"),), jobs=jobs)
    state.write_bytes(encode_saved(before))
    assert take_back(place, state, {"x"}) == 0
    assert take_back(place, state, {"a", "c"}) == 2
    after = read_saved(state)
    assert [job.id for job in after.jobs] == ["b"]
    assert after.wanted == before.wanted


def test_a_living_host_draws_its_own(place: HostPlace, tmp_path: Path) -> None:
    state = tmp_path / "host.json"
    state.write_bytes(encode_saved(Saved(jobs=(Job("a", GenerateRequest("a fox", tmp_path)),))))
    with place.held():
        assert take_back(place, state, {"a"}) == 0
    assert len(read_saved(state).jobs) == 1
