"""Several threads at one model: one at a time, and what is said of it is true meanwhile."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from engine.errors import EngineError, SwitchError
from engine.lora.cache import LoraCache
from engine.protocol.refs import LoraRef
from engine.switch import merge as merge_module
from engine.switch.precision import exact_products
from engine.switch.switcher import LoraSwitcher
from tests.switch.conftest import Loaded

PATIENCE = 60


class Blocked:
    """A switch in another thread that stands still in the middle of its work."""

    def __init__(self, switcher: LoraSwitcher, stack: list[LoraRef], after: int = 1) -> None:
        self._reached, self._go_on = threading.Event(), threading.Event()
        self._left = after

        def cancelled() -> bool:
            self._left -= 1
            if self._left == 0:
                self._reached.set()
                assert self._go_on.wait(PATIENCE)
            return False

        self._pool = ThreadPoolExecutor(1)
        self.done: Future[object] = self._pool.submit(switcher.apply, stack, cancelled)
        assert self._reached.wait(PATIENCE)

    def finish(self) -> None:
        self._go_on.set()
        self.done.result(PATIENCE)
        self._pool.shutdown()


@contextmanager
def waiting(call: Callable[[], object]) -> Iterator[Future[object]]:
    """A call in another thread that cannot go on yet."""
    started = threading.Event()

    def run() -> object:
        started.set()
        return call()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run)
        assert started.wait(PATIENCE)
        yield future


def test_properties_answer_truly_in_the_middle_of_a_switch(loaded: Loaded) -> None:
    switcher = loaded.switcher
    neon, ink = loaded.ref("neon"), loaded.ref("styles/ink")
    switcher.apply([neon])
    held = switcher.backup_bytes
    # The first questions come while files are read: nothing is written yet.
    reading = Blocked(switcher, [ink], after=1)
    assert (switcher.state, switcher.stack) == ("stack", (neon,))
    reading.finish()
    switcher.apply([neon])
    writing = Blocked(switcher, [ink], after=2)
    assert (switcher.state, switcher.stack, switcher.embeddings) == ("recovering", (), ())
    assert switcher.tier == "device"
    assert switcher.backup_bytes >= held
    assert switcher.cache_bytes > 0
    assert switcher.device_cache_bytes == 0
    writing.finish()
    assert (switcher.state, switcher.stack) == ("stack", (ink,))


def test_every_method_waits_for_the_switch_in_another_thread(loaded: Loaded) -> None:
    switcher, neon, ink = loaded.switcher, loaded.ref("neon"), loaded.ref("styles/ink")

    def drawn() -> str:
        with switcher.hold():
            return switcher.state

    calls: list[Callable[[], object]] = [
        switcher.verify,
        switcher.restore_weights,
        switcher.require_known,
        switcher.free_device_cache,
        drawn,
        lambda: switcher.apply([neon]),
        lambda: switcher.backup_weights([neon]),
        lambda: switcher.pre_calculation([neon]),
        lambda: switcher.set_backup("cpu"),
    ]
    for call in calls:
        switcher.apply([])
        switch = Blocked(switcher, [ink], after=2)
        with waiting(call) as future:
            assert switcher.state == "recovering"
            assert not future.done()
            switch.finish()
        result = future.result(PATIENCE)
        if call == switcher.verify:
            assert result.different == ()  # type: ignore[attr-defined]
        if call == drawn:
            assert result == "stack"
    switcher.apply([])
    assert (loaded.differing(), switcher.verify().different) == ([], ())


def test_reading_ahead_holds_nobody_up(loaded: Loaded) -> None:
    switcher, neon, ink = loaded.switcher, loaded.ref("neon"), loaded.ref("styles/ink")
    reached, go_on = threading.Event(), threading.Event()

    def cancelled() -> bool:
        reached.set()
        assert go_on.wait(PATIENCE)
        return False

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(switcher.prefetch, ink, cancelled)
        assert reached.wait(PATIENCE)
        # The other one, and the very one that is being read.
        switcher.apply([neon])
        switcher.apply([ink])
        go_on.set()
        ahead.result(PATIENCE)
    size = switcher.cache_bytes
    switcher.apply([neon, ink])
    assert switcher.cache_bytes == size, "each is held once"


@pytest.mark.parametrize(
    "call",
    ["apply", "restore_weights", "verify", "set_backup", "prefetch", "hold", "require_known"],
)
@pytest.mark.parametrize("moment", [1, 4])
def test_a_call_from_within_a_call_is_refused(loaded: Loaded, call: str, moment: int) -> None:
    """From the question whether to cancel, while files are read and while weights are written."""
    switcher = loaded.switcher
    arguments = {
        "apply": ([],),
        "set_backup": ("cpu",),
        "prefetch": (loaded.ref("neon"),),
    }.get(call, ())
    left = moment

    def meddle() -> bool:
        nonlocal left
        left -= 1
        if left == 0:
            result = getattr(switcher, call)(*arguments)
            if call == "hold":
                result.__enter__()
        return False

    with pytest.raises(SwitchError, match=r"from within one of|holds the switcher already"):
        switcher.apply([loaded.ref("neon"), loaded.ref("styles/ink")], meddle)
    assert (switcher.state, loaded.differing()) == ("base", [])
    switcher.apply([loaded.ref("neon")])
    assert switcher.state == "stack"


def test_whoever_holds_the_switcher_draws_what_it_switched_to(loaded: Loaded) -> None:
    switcher, names = loaded.switcher, ("neon", "styles/ink", "styles/wash")
    wrong: list[str] = []

    def draw(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(8):
            ref = loaded.ref(chance.choice(names), chance.choice((0.5, 1.0)))
            with switcher.hold():
                switcher.apply([ref])
                before = loaded.weights()["unet.conv_in.weight"].clone()
                if switcher.stack != (ref,) or switcher.verify().different:
                    wrong.append(ref.name)
                if not torch.equal(before, loaded.weights()["unet.conv_in.weight"]):
                    wrong.append("written to")

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with switcher.hold(), pytest.raises(SwitchError, match="holds the switcher already"):
        switcher.hold().__enter__()


def test_an_interrupt_while_waiting_leaves_nothing_behind(loaded: Loaded) -> None:
    switcher, neon, ink = loaded.switcher, loaded.ref("neon"), loaded.ref("styles/ink")
    switch = Blocked(switcher, [ink], after=2)
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT))

    def wait_for_the_switch() -> None:
        timer.start()
        switcher.apply([neon])

    with pytest.raises(KeyboardInterrupt):
        wait_for_the_switch()
    timer.join()
    assert not switch.done.done()
    switch.finish()
    assert switcher.stack == (ink,)
    switcher.apply([])
    assert loaded.differing() == []


def test_eight_threads_with_every_method_at_once(loaded: Loaded) -> None:
    switcher, names = loaded.switcher, ("neon", "styles/ink", "styles/wash")
    faults: list[BaseException] = []
    stop = threading.Event()

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(12):
                refs = [loaded.ref(n, chance.choice((0.5, 1.0))) for n in chance.sample(names, 2)]
                match chance.randrange(6):
                    case 0:
                        switcher.prefetch(refs[0])
                    case 1:
                        assert switcher.verify().different == ()
                    case 2:
                        switcher.set_backup(chance.choice(("device", "cpu")))
                    case 3:
                        switcher.apply([])
                    case 4:
                        switcher.backup_weights(refs)
                    case _:
                        switcher.apply(refs)
        except BaseException as error:
            faults.append(error)
            raise

    def watch() -> None:
        try:
            while not stop.is_set():
                assert switcher.state in ("base", "stack", "recovering")
                assert len(switcher.stack) in (0, 2)
                assert switcher.backup_bytes >= 0
                assert switcher.cache_bytes >= 0
        except BaseException as error:
            faults.append(error)
            raise

    watcher = threading.Thread(target=watch)
    watcher.start()
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    assert faults == []
    switcher.apply([])
    assert (switcher.state, loaded.differing(), switcher.verify().different) == ("base", [], ())


def test_two_models_share_a_cache_in_two_threads(load: Callable[..., Loaded]) -> None:
    cache = LoraCache(200_000)
    models = [load(), load()]
    switchers = [LoraSwitcher(**model.parts, cache=cache) for model in models]
    names = ("neon", "styles/ink", "styles/wash")

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(25):
            switchers[number].apply([models[number].ref(n) for n in chance.sample(names, 2)])
        switchers[number].apply([])

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work, number) for number in (0, 1)]:
            future.result(PATIENCE)
    assert [model.differing() for model in models] == [[], []]


def test_one_precision_for_threads_that_come_and_go() -> None:
    """One leaves while another still multiplies: the program's setting comes back after both."""
    first, second = exact_products(), exact_products()
    torch.set_float32_matmul_precision("medium")
    try:
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == "highest"
        second.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("moment", ["between", "during"])
def test_a_forked_process_has_a_model_of_its_own(loaded: Loaded, moment: str) -> None:
    """Also when the switch of another thread was under way, which ends with the fork."""
    torch.set_num_threads(1)
    switcher, neon, ink = loaded.switcher, loaded.ref("neon"), loaded.ref("styles/ink")
    switcher.apply([neon])
    switch = Blocked(switcher, [neon, ink], after=4) if moment == "during" else None
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(PATIENCE)
            expected = "recovering" if switch else "stack"
            right = switcher.state == expected
            switcher.apply([])
            right = right and switcher.state == "base" and loaded.differing() == []
            switcher.apply([ink])
            code = 0 if right and switcher.stack == (ink,) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if switch:
        switch.finish()
    assert os.waitstatus_to_exitcode(status) == 0
    switcher.apply([])
    assert loaded.differing() == []


def test_a_fault_in_one_thread_is_no_other_threads(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    switcher, neon, ink = loaded.switcher, loaded.ref("neon"), loaded.ref("styles/ink")
    real = merge_module.merge_weight
    doomed = threading.local()

    def failing(live: torch.Tensor, *rest: object) -> torch.Tensor | None:
        if getattr(doomed, "now", False):
            live.fill_(7.0)
            raise RuntimeError("no")
        return real(live, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(merge_module, "merge_weight", failing)
    switch = Blocked(switcher, [ink], after=2)

    def fail() -> None:
        doomed.now = True
        switcher.apply([neon])

    with waiting(fail) as future:
        switch.finish()
    with pytest.raises(SwitchError, match="base model is live again"):
        future.result(PATIENCE)
    assert (switcher.state, loaded.differing()) == ("base", [])


def test_the_library_path_of_a_dead_thread_is_free(loaded: Loaded, tmp_path: Path) -> None:
    """A thread that ended in an error leaves no lock behind."""
    switcher = loaded.switcher

    def end() -> None:
        with switcher.hold():
            switcher.apply([LoraRef(tmp_path / "gone.safetensors")])

    with ThreadPoolExecutor(1) as pool, pytest.raises(EngineError, match="gone"):
        pool.submit(end).result(PATIENCE)
    switcher.apply([loaded.ref("neon")])
    assert switcher.state == "stack"
