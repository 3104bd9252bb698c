"""Requests that wait for a network go through it together, once it is its turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from raymask.serve.on_ray.core_slots import CoreSlots


class Batches:
    """Collects what is asked of one network.

    Serve's own batches are made up before there is a core to work on them. These are made up when there is: all that
    has come until then goes into one, and the batches grow with the load by themselves.
    """

    def __init__(
        self, work: Callable[[list[Any]], list[Any]], turns: CoreSlots | None, *, most: int, wait: float
    ) -> None:
        """
        Args:
            work: makes an answer of each question, in a thread; what it raises is raised for all of the batch.
            turns: for the cores that it needs; None: it needs none, such as on a GPU.
            most: questions of a batch at most.
            wait: seconds to wait for others before a batch.
        """
        self._work, self._turns = work, turns
        self.most, self.wait = most, wait
        self._waiting: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def ask(self, question: Any) -> Any:
        """The answer."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work_off())
        return await future

    async def _work_off(self) -> None:
        while self._waiting:
            if self.wait and len(self._waiting) < self.most:
                await asyncio.sleep(self.wait)
            if self._turns is None:
                await self._one_batch()
            else:
                async with self._turns.turn():
                    await self._one_batch()

    async def _one_batch(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(self.most, len(self._waiting)))]
        wanted = [(question, future) for question, future in batch if not future.done()]  # others were given up
        try:
            answers = await asyncio.to_thread(self._work, [question for question, _ in wanted]) if wanted else []
        except Exception as error:  # whoever waits must hear of it
            for _, future in wanted:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(wanted, answers, strict=True):
            if not future.done():
                future.set_result(answer)
