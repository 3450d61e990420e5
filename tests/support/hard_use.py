"""Random switches of several threads with faults of every kind, compared bit for bit.

As a program it does as many as wanted, and says what it found:
`python -m tests.support.hard_use --switches 10000`.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from engine.block_weights import BLOCKS
from engine.checkpoint import open_checkpoint
from engine.errors import EngineError
from engine.generate.quiet import quiet_libraries
from engine.lora.cache import LoraCache
from engine.protocol.refs import LoraRef
from engine.protocol.reports import Tier
from engine.switch.switcher import LoraSwitcher
from tests.support.all_formats import write_all_formats
from tests.support.faults import FAULTS, Faults
from tests.support.tiny_checkpoint import write_tiny_checkpoint, write_tiny_lora

Stack = tuple[LoraRef, ...]

TIERS: tuple[Tier, ...] = ("device", "cpu", "file")
STACKS = 40
FAULTY = 0.3
"""Of the switches."""


class Model:
    """A checkpoint, loaded, with a switcher that keeps few LoRAs in memory."""

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        checkpoint = open_checkpoint(path, device="cpu", dtype=dtype)
        names = ("unet", "text_encoder", "text_encoder_2")
        self.parts = {name: getattr(checkpoint.pipeline, name) for name in names}
        self.switcher = LoraSwitcher(
            **self.parts, cache=LoraCache(100_000), source=checkpoint.source
        )

    def digest(self) -> str:
        """A hash of every bit of every weight."""
        summary = hashlib.sha256()
        for module in self.parts.values():
            for parameter in module.parameters():
                raw = parameter.detach().contiguous().flatten().view(torch.uint8)
                summary.update(raw.numpy().tobytes())
        return summary.hexdigest()


@dataclass
class Found:
    """What came out."""

    switches: int = 0
    checks: int = 0
    """How often every bit of every weight was compared."""
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """What was not as it should be."""
    seconds: float = 0.0


class HardUse:
    """Threads that switch one model at random, and one that only asks how things are.

    The model's file and those of the library are written to, renamed and put back.
    """

    def __init__(
        self, path: Path, library: Sequence[Path], dtype: torch.dtype, seed: int = 1
    ) -> None:
        self._seed = seed
        chance = random.Random(seed)
        self._stacks = [random_stack(chance, library) for _ in range(STACKS)]
        self._model, fresh = Model(path, dtype), Model(path, dtype)
        # By the shortest road, on a model that sees no fault.
        self._expected = {frozenset[LoraRef](): fresh.digest()}
        for stack in self._stacks:
            fresh.switcher.apply(stack)
            self._expected[frozenset(stack)] = fresh.digest()
            fresh.switcher.apply([])
        self._faults = Faults(chance, path)
        self._armed: dict[int, bool] = {}
        self._found = Found()
        self._lock = threading.Lock()

    def run(self, switches: int, threads: int) -> Found:
        """Do so many switches, shared out among so many threads."""
        start = time.perf_counter()
        shares = [switches // threads + (n < switches % threads) for n in range(threads)]
        workers = [
            threading.Thread(target=self._work, args=(share, random.Random(f"{self._seed} {n}")))
            for n, share in enumerate(shares)
        ]
        done = threading.Event()
        others = [threading.Thread(target=t, args=(done,)) for t in (self._watch, self._interrupt)]
        with self._faults.injected():
            for thread in (*workers, *others):
                thread.start()
            for thread in workers:
                thread.join()
            done.set()
            for thread in others:
                thread.join()
        switcher = self._model.switcher
        switcher.apply([])
        self._check("the end", {()})
        self._expect("verify at the end", not switcher.verify().different)
        self._expect("backups at the end", switcher.backup_bytes == 0)
        self._found.seconds = round(time.perf_counter() - start, 1)
        return self._found

    def _work(self, count: int, chance: random.Random) -> None:
        for _ in range(count):
            try:
                self._other_call(chance)
                self._switch(chance)
            except KeyboardInterrupt:
                # It came when the call that it was meant for was over.
                self._count("late interrupt")
            except BaseException as error:
                self._expect(f"an error: {error!r}", False)
                raise
            finally:
                with self._lock:
                    self._found.switches += 1

    def _switch(self, chance: random.Random) -> None:
        """Switch while others wait, and compare; or let them come between."""
        chosen = chance.choice([*self._stacks, ()])
        stack = tuple(chance.sample(chosen, len(chosen)))
        kind = chance.choice(FAULTS) if chance.random() < FAULTY else ""
        if chance.random() < 0.5:
            self._apply(stack, kind)
            return
        switcher = self._model.switcher
        with switcher.hold():
            switcher.require_known()
            before = switcher.stack
            done = self._apply(stack, kind)
            if switcher.state == "recovering":
                self._expect(f"the way back, {kind}", kind == "asynchronous interrupt")
                switcher.require_known()
            self._check(kind, {stack} if done else {stack, (), before})

    def _apply(self, stack: Stack, kind: str) -> bool:
        """Switch with a fault; True when it was done all the same."""
        switcher, me = self._model.switcher, threading.get_ident()
        try:
            with self._faults.planned(kind, stack):
                self._armed[me] = kind == "asynchronous interrupt"
                try:
                    switcher.apply(stack, self._faults.cancelled)
                finally:
                    self._armed[me] = False
        except (EngineError, KeyboardInterrupt) as error:
            self._count(f"{kind or 'no fault of its own'}: {type(error).__name__}")
            return False
        self._count("switched")
        return True

    def _other_call(self, chance: random.Random) -> None:
        switcher = self._model.switcher
        try:
            match chance.randrange(12):
                case 0:
                    switcher.set_backup(chance.choice(TIERS))
                case 1:
                    switcher.backup_weights(chance.choice(self._stacks))
                case 2:
                    for ref in chance.choice(self._stacks)[:1]:
                        switcher.prefetch(ref)
                case 3:
                    self._expect("verify", not switcher.verify().different)
        except EngineError as error:
            # A file that another thread's fault has hidden.
            self._count(f"another call: {type(error).__name__}")

    def _check(self, when: str, allowed: set[Stack]) -> None:
        """Compare every bit with what the state says; the caller holds the switcher."""
        switcher = self._model.switcher
        stack, state, digest = switcher.stack, switcher.state, self._model.digest()
        with self._lock:
            self._found.checks += 1
        self._expect(f"{when}: state {state}", state == ("stack" if stack else "base"))
        self._expect(f"{when}: stack", set(stack) in [set(one) for one in allowed])
        right = digest == self._expected[frozenset(stack)]
        self._expect(f"{when}: the weights in state {state}", right)

    def _watch(self, done: threading.Event) -> None:
        """Ask how things are, all the time."""
        switcher = self._model.switcher
        while not done.wait(0.002):
            self._expect("a state", switcher.state in ("base", "stack", "recovering"))
            self._expect("a stack", frozenset(switcher.stack) in self._expected)
            self._expect("bytes", min(switcher.backup_bytes, switcher.cache_bytes) >= 0)

    def _interrupt(self, done: threading.Event) -> None:
        """Interrupt the threads that expect it, wherever they are."""
        chance = random.Random(self._seed)
        while not done.wait(chance.uniform(0, 0.01)):
            for thread, armed in tuple(self._armed.items()):
                if armed and chance.random() < 0.5:
                    error = ctypes.py_object(KeyboardInterrupt)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)

    def _expect(self, what: str, right: bool) -> None:
        if not right:
            self._found.wrong.append(what)

    def _count(self, outcome: str) -> None:
        with self._lock:
            self._found.outcomes[outcome] += 1


def write_subject(folder: Path) -> tuple[Path, list[Path]]:
    """A tiny checkpoint and LoRAs of every family, with three for its text encoders too."""
    checkpoint, loras = write_tiny_checkpoint(folder), folder / "loras"
    loras.mkdir()
    unet = open_checkpoint(checkpoint, device="cpu", dtype=torch.float32).pipeline.unet
    paths = write_all_formats(loras, unet)
    for seed in (1, 2, 3):
        paths.append(loras / f"plain_{seed}.safetensors")
        write_tiny_lora(paths[-1], checkpoint, seed)
    return checkpoint, paths


def random_stack(chance: random.Random, library: Sequence[Path]) -> Stack:
    """One to four LoRAs at strengths of either sign, some with block weights."""
    stack = []
    for path in chance.sample(library, chance.randint(1, 4)):
        ref = LoraRef(path, chance.choice((1.0, 0.0, chance.uniform(-1.5, 1.5))), 0.7)
        if chance.random() < 0.3:
            blocks = tuple((name, chance.choice((0.0, 0.5))) for name in BLOCKS[::3])
            ref = replace(ref, blocks=blocks)
        stack.append(ref)
    return tuple(stack)


def main() -> None:
    """Run until it is done, and print what was found; the exit status is 1 if that is anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--switches", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--dtype", choices=("float16", "bfloat16", "float32"), default="float16")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, library = write_subject(Path(folder))
        use = HardUse(checkpoint, library, getattr(torch, args.dtype), args.seed)
        found = use.run(args.switches, args.threads)
    sys.stdout.write(json.dumps(vars(found), indent=1) + "\n")
    sys.exit(bool(found.wrong))


if __name__ == "__main__":
    main()
