"""A stage on Ray Serve: one network, the batches that it takes, and what Prometheus hears of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ray.serve import metrics

from raymask.errors import ChangingError, ConfigError
from raymask.serve.core.config import StageConfig, from_mapping
from raymask.serve.core.plan import STRICT
from raymask.serve.on_ray.batching import Batches
from raymask.serve.on_ray.core_slots import CoreSlots
from raymask.serve.on_ray.metrics import SECONDS, ReplicaMetrics
from raymask.serve.on_ray.replica_health import ReplicaHealth


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

    def __init__(self, make: Callable[[], Any], networks: tuple[str, ...], stage: StageConfig) -> None:
        """
        Args:
            make: loads the stage: an object that is called for one request, or has `together` for several.
            networks: digests of what it loads.
            stage: how it works.
        """
        import torch

        torch.set_num_threads(stage.threads)
        self._work, self._networks = make(), networks
        self._health = ReplicaHealth()
        turns = CoreSlots(stage.threads) if stage.device == "cpu" else None
        self._batches = Batches(self._answers, turns, most=BatchConfig.batch, wait=BatchConfig.wait)
        self._metrics = ReplicaMetrics()
        self._work_seconds = metrics.Histogram(
            "raymask_stage_work_seconds", description="Time that a network works on a batch.", boundaries=SECONDS
        )
        self._sizes = metrics.Histogram(
            "raymask_stage_batch", description="Requests in a batch.", boundaries=[1, 2, 4, 8, 16, 32]
        )

    def reconfigure(self, config: Mapping[str, Any] | None, rank: Any = None) -> None:
        """Set the batches; `rank` as in `ApiReplica.reconfigure`. Raises ConfigError for what it does not know."""
        wanted = from_mapping(BatchConfig, config or {}, "user_config")
        self._batches.most, self._batches.wait = wanted.batch, wanted.wait

    async def __call__(self, *asked: Any, networks: tuple[str, ...] | None = None) -> Any:
        """What the stage makes of it.

        Args:
            asked: what its work takes.
            networks: digests of those that are to do it; None: whichever there are.

        Raises:
            ChangingError: there are others here.
        """
        with self._metrics():
            if networks is not None and tuple(networks) != self._networks:
                raise ChangingError("the service is changing to another network; ask again in a few seconds")
            answer = await self._batches.ask(asked)
            if isinstance(answer, Exception):
                raise answer
            return answer

    async def ping(self) -> bool:
        """Whether it hears."""
        return True

    def check_health(self) -> None:
        """For Serve, which replaces the replica if this raises."""
        self._health.check()

    def _answers(self, asked: list[tuple[Any, ...]]) -> list[Any]:
        begun = time.perf_counter()
        answers = self._answers_of(asked)
        self._health.heard(answers)
        self._work_seconds.observe(time.perf_counter() - begun)
        self._sizes.observe(len(asked))
        return answers

    def _answers_of(self, asked: list[tuple[Any, ...]]) -> list[Any]:
        if len(asked) > 1 and hasattr(self._work, "together"):
            with contextlib.suppress(Exception), self._health.at_work():  # or one is to blame: ask for each by itself
                return list(self._work.together(asked))
        return [self._answer(one) for one in asked]

    def _answer(self, asked: tuple[Any, ...]) -> Any:
        try:
            with self._health.at_work():
                return self._work(*asked)
        except Exception as error:  # goes to the one who asked
            return error
