"""Batches that grow with the load, and cores that no more networks use than there are."""

import asyncio
import signal
import subprocess
import sys
import threading
import time

import pytest

from raymask.errors import ConfigError
from raymask.serve.on_ray import core_slots
from raymask.serve.on_ray.batching import Batches
from raymask.serve.on_ray.core_slots import CoreSlots


class Network:
    """Doubles numbers, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.first_may_go = threading.Event()

    def __call__(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        if len(self.batches) == 1:
            assert self.first_may_go.wait(10)
        return [2 * number for number in numbers]


def test_what_comes_during_a_batch_makes_up_the_next():
    network = Network()
    batches = Batches(network, None, most=3, wait=0)

    async def ask() -> list[int]:
        first = asyncio.create_task(batches.ask(0))
        while not network.batches:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(batches.ask(number)) for number in range(1, 6)]
        await asyncio.sleep(0)
        others[1].cancel()  # whoever asked has gone
        await asyncio.sleep(0)
        network.first_may_go.set()
        return await asyncio.gather(first, *(task for task in others if task is not others[1]))

    assert asyncio.run(ask()) == [0, 2, 6, 8, 10]
    assert network.batches == [[0], [1, 3], [4, 5]]


def test_it_waits_for_others_as_long_as_it_is_told():
    network = Network()
    network.first_may_go.set()
    batches = Batches(network, None, most=4, wait=0.2)

    async def ask() -> list[int]:
        first = asyncio.create_task(batches.ask(1))
        await asyncio.sleep(0.05)
        return await asyncio.gather(first, batches.ask(2))

    assert asyncio.run(ask()) == [2, 4]
    assert network.batches == [[1, 2]]


def test_what_the_work_raises_is_heard_and_the_next_batch_goes_on():
    def work(numbers: list[int]) -> list[int]:
        if 0 in numbers:
            raise ValueError("no zeros")
        return numbers

    batches = Batches(work, None, most=2, wait=0.01)

    async def ask() -> list:
        return await asyncio.gather(*(batches.ask(number) for number in (0, 1, 2)), return_exceptions=True)

    first, second, third = asyncio.run(ask())
    assert isinstance(first, ValueError)
    assert isinstance(second, ValueError)
    assert third == 2


def test_no_more_turns_at_a_time_than_cores(tmp_path):
    at_work: list[int] = []

    async def work(threads: int) -> None:
        turns = CoreSlots(threads, cores=2, folder=tmp_path)
        async with turns.turn():
            at_work.append(sum(at_work[-1:]) + threads)
            await asyncio.sleep(0.01)
            at_work.append(at_work[-1] - threads)
        turns.close()

    async def all_of_them() -> None:
        threads = (1, 1, 2, 1, 1, 2) * 3
        await asyncio.gather(*(work(one) for one in threads))

    asyncio.run(all_of_them())
    assert max(at_work) == 2
    assert at_work[-1] == 0


def test_who_is_killed_holds_no_core_any_more(tmp_path):
    code = (
        "import asyncio\nfrom pathlib import Path\nfrom raymask.serve.on_ray.core_slots import CoreSlots\n"
        "async def hold():\n"
        f"    async with CoreSlots(2, cores=2, folder=Path({str(tmp_path)!r})).turn():\n"
        "        print('holds', flush=True)\n        await asyncio.sleep(60)\n"
        "asyncio.run(hold())"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "holds\n"
        turns = CoreSlots(1, cores=2, folder=tmp_path)

        async def wait_for_a_turn() -> float:
            waiting = asyncio.create_task(turns.turn().__aenter__())
            await asyncio.sleep(0.1)
            assert not waiting.done()
            holder.send_signal(signal.SIGKILL)
            begun = time.monotonic()
            await asyncio.wait_for(waiting, 10)
            turns.close()
            return time.monotonic() - begun

        assert asyncio.run(wait_for_a_turn()) < 10


def test_locks_that_another_user_holds_are_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(core_slots.os, "getuid", lambda: 12345)
    with pytest.raises(ConfigError, match="another user's"):
        CoreSlots(1, folder=tmp_path)


@pytest.mark.parametrize(("limit", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64), ("", 64)])
def test_a_container_has_the_cores_that_it_is_given(tmp_path, monkeypatch, limit, cores):
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(core_slots, "_CPU_MAX", tmp_path / "cpu.max")
    monkeypatch.setattr(core_slots.os, "sched_getaffinity", lambda _: range(64))
    assert len(CoreSlots(1, folder=tmp_path)._locks) == cores
