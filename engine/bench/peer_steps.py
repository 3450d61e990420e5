"""The steps in which others do the same as we did, on the same weights and files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.bench import peers
from engine.bench.limits import Floor
from engine.bench.peers import DiffusersPeers, bare_backup
from engine.bench.plan import Step
from engine.bench.results import BenchReport
from engine.bench.steadiness import Steadiness
from engine.bench.subject import Subject
from engine.bench.work import Work

_DIFFUSERS_COST = 25.0
"""What one run of diffusers costs, in times the floor of a switch from the base."""


def peer_steps(
    subject: Subject, work: Work, floor: Floor, steadiness: Steadiness, repeat: int
) -> Iterator[Step]:
    """A bare copy of the weights that one LoRA touches, whose work is given; then diffusers."""
    touched = tuple(work.weights)
    copy = floor.copy_seconds("device")

    def bare(report: BenchReport) -> BenchReport:
        found = bare_backup(subject.parts, touched, subject.device, steadiness, repeat)
        return replace(report, peers=(found,))

    yield Step("a bare backup copy", (1 + repeat) * copy, bare)
    if not peers.HAS_PEFT:
        note = "diffusers is left out: it needs PEFT for LoRAs (pip install peft)."
        yield Step("diffusers", 0.0, lambda report: _with_note(report, note))
        return
    cost = _DIFFUSERS_COST * (copy + floor.product_seconds(work))
    user = _Diffusers(subject, steadiness)
    for number in range(1, repeat + 1):
        yield Step(f"diffusers · {number} of {repeat}", cost, user.run)


class _Diffusers:
    """diffusers' runs; what it does not take is noted, and ends them."""

    def __init__(self, subject: Subject, steadiness: Steadiness) -> None:
        self._subject, self._steadiness = subject, steadiness
        self._peers: DiffusersPeers | None = None
        self._is_refused = False

    def run(self, report: BenchReport) -> BenchReport:
        """Do all of it once more."""
        if self._is_refused:
            return report
        subject = self._subject
        try:
            if self._peers is None:
                paths = [ref.path for ref in subject.loras[:2]]
                self._peers = DiffusersPeers(subject.parts, paths, subject.device, self._steadiness)
            found = self._peers.run()
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            self._is_refused = True
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            return _with_note(report, f"diffusers does not take these LoRAs: {reason[:200]}")
        return replace(report, peers=(report.peers[0], *found))


def _with_note(report: BenchReport, note: str) -> BenchReport:
    return replace(report, notes=(*report.notes, note))
