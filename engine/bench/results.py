"""What a benchmark found: plain frozen data, every time beside a limit of the same run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engine.protocol.reports import Tier


@dataclass(frozen=True)
class Limits:
    """What the machine can do, measured in the same run on the weights that the LoRAs touch."""

    tensors: int
    bytes: int
    """Of the weights that one or more of the LoRAs touch."""
    copy_seconds: tuple[tuple[Tier, float], ...]
    """One read and one write of all these bytes, from each tier's memory into the live weights."""
    product_flops: int
    """Of one LoRA's products up @ down, a multiplication and an addition counted as two."""
    product_seconds: float
    """The same at the rate of float32 products at the merge's own shapes."""

    @property
    def product_rate(self) -> float:
        """Floating-point operations a second; 0 where the LoRA has no low-rank product."""
        return self.product_flops / self.product_seconds if self.product_seconds else 0.0

    def copy_rate(self, tier: Tier) -> float:
        """Bytes copied a second; each is read once and written once."""
        return self.bytes / dict(self.copy_seconds)[tier]


@dataclass(frozen=True)
class Switching:
    """One kind of switch in one tier."""

    name: str
    tier: Tier
    seconds: float
    """The median."""
    fastest: float
    floor: float
    """What no program can do faster: see `engine.bench.limits`."""
    spread: float
    """How much one and the same copy varied while this was measured: half the range of its times,
    as a part of the middle one. A ratio is not known better than that."""
    phases: tuple[tuple[str, float], ...]
    """Milliseconds by phase, of the last run."""

    @property
    def ratio(self) -> float:
        """How many times the floor the median is."""
        return self.seconds / self.floor


@dataclass(frozen=True)
class Peer:
    """Another way to do the same, in the same run on the same weights and files."""

    name: str
    against: str
    """The name of our switch that does the same."""
    seconds: float
    fastest: float
    spread: float
    """As in `Switching`."""
    runs: int
    """Of how many `seconds` is the median; fewer than asked for when the run was interrupted."""


@dataclass(frozen=True)
class TierMemory:
    """Memory that a switch from the base takes beyond what was held before it, at its peak."""

    tier: Tier
    device_bytes: int
    """On the GPU; 0 without one."""
    host_bytes: int
    """In main memory, by the process's resident size."""
    backup_bytes: int
    """Of it, what stays as the backup while the LoRA is live."""


@dataclass(frozen=True)
class BenchReport:
    """All of a run, or what is known so far."""

    model: str
    device: str
    device_name: str
    dtype: str
    threads: int
    """Of torch on the CPU."""
    repeat: int
    loras: tuple[str, ...]
    limits: Limits
    switches: tuple[Switching, ...] = ()
    memory: tuple[TierMemory, ...] = ()
    peers: tuple[Peer, ...] = ()
    different: int | None = None
    """Base tensors that differ after all our switches: 0, or a fault of this program."""
    peers_different: int | None = None
    """Base tensors that differ after diffusers has fused and unfused; None when it did not run."""
    notes: tuple[str, ...] = ()
    """Sentences on what was left out, and why."""
    is_complete: bool = False
    """False while the run goes on, and for good when it was interrupted."""

    def faster_than(self, peer: Peer) -> float | None:
        """How many times longer the peer takes than our switch in the first tier that has one."""
        ours = next((s for s in self.switches if s.name == peer.against), None)
        return None if ours is None else peer.seconds / ours.seconds

    def as_plain(self) -> dict[str, Any]:
        """Everything with its ratios, as JSON can hold it."""
        plain = asdict(self)
        plain["limits"] |= {
            "copy_seconds": dict(self.limits.copy_seconds),
            "product_flops_per_second": self.limits.product_rate,
        }
        for entry, switching in zip(plain["switches"], self.switches, strict=True):
            entry |= {"phases": dict(switching.phases), "times_floor": switching.ratio}
        for entry, peer in zip(plain["peers"], self.peers, strict=True):
            entry["times_ours"] = self.faster_than(peer)
        return plain
