"""A stage on Ray Serve: one network, the batches that it takes, and what Prometheus hears of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ray.serve import metrics

from raymask.errors import ConfigError
from raymask.serve.batches import Batches
from raymask.serve.config import StageConfig, from_mapping
from raymask.serve.measured import SECONDS, Measured
from raymask.serve.plan import STRICT
from raymask.serve.turns import Turns


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """The `user_config` of a stage: changed in place, without a restart."""

    __pydantic_config__ = STRICT

    batch: int = 8
    """Requests that a replica takes on together at most; a small network does several in little more time than one."""
    wait: float = 0.0
    """Seconds to wait for others; with 0, those go together that came while the network was at work, or had no core."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.wait < 0:
            raise ConfigError("batch must be 1 or more, wait 0 or more")


class StageReplica:
    """A replica of a stage. Networks run in a thread, so that the replica always hears."""

    def __init__(self, make: Callable[[], Any], stage: StageConfig) -> None:
        """`make` loads the stage: an object that is called for one request, or has `together` for several."""
        import torch

        torch.set_num_threads(stage.threads)
        self._work = make()
        turns = Turns(stage.threads) if stage.device == "cpu" else None
        self._batches = Batches(self._answers, turns, most=BatchConfig.batch, wait=BatchConfig.wait)
        self._measured = Measured()
        self._work_seconds = metrics.Histogram(
            "raymask_stage_work_seconds", description="Time that a network works on a batch.", boundaries=SECONDS
        )
        self._sizes = metrics.Histogram(
            "raymask_stage_batch", description="Requests in a batch.", boundaries=[1, 2, 4, 8, 16, 32]
        )

    def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Set the batches. Raises ConfigError for what it does not know."""
        wanted = from_mapping(BatchConfig, config, "user_config")
        self._batches.most, self._batches.wait = wanted.batch, wanted.wait

    async def __call__(self, *asked: Any) -> Any:
        """What the stage makes of it."""
        with self._measured():
            answer = await self._batches.ask(asked)
            if isinstance(answer, Exception):
                raise answer
            return answer

    async def ping(self) -> bool:
        """Whether it hears."""
        return True

    def _answers(self, asked: list[tuple[Any, ...]]) -> list[Any]:
        begun = time.perf_counter()
        if len(asked) > 1 and hasattr(self._work, "together"):
            try:
                answers = list(self._work.together(asked))
            except Exception:  # one of them is to blame: ask for each by itself
                answers = [self._answer(one) for one in asked]
        else:
            answers = [self._answer(one) for one in asked]
        self._work_seconds.observe(time.perf_counter() - begun)
        self._sizes.observe(len(asked))
        return answers

    def _answer(self, asked: tuple[Any, ...]) -> Any:
        try:
            return self._work(*asked)
        except Exception as error:  # goes to the one who asked
            return error
