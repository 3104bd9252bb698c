"""What Prometheus hears of a replica's requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ray.serve import metrics

from raymask.serve.core.self_check import SelfCheck

SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]
"""Bounds of the histograms of time."""


class ReplicaMetrics:
    """Around each request of a replica: how many it has, how long they take, how they fail; Serve adds its name."""

    def __init__(self) -> None:
        self._waiting = metrics.Gauge("raymask_stage_waiting", description="Requests that a replica has.")
        self._seconds = metrics.Histogram(
            "raymask_stage_seconds",
            description="Time of a request in a replica, waiting included.",
            boundaries=SECONDS,
        )
        self._errors = metrics.Counter(
            "raymask_stage_errors", description="Requests that ended in an error, by its type.", tag_keys=("error",)
        )
        self._here = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        begun = time.perf_counter()
        self._here += 1
        self._waiting.set(self._here)
        try:
            yield
        except Exception as error:
            self._errors.inc(tags={"error": type(error).__name__})
            raise
        finally:
            self._here -= 1
            self._waiting.set(self._here)
            self._seconds.observe(time.perf_counter() - begun)


class GalleryMetrics:
    """Whether the gallery keeps what the thresholds promise: as its last check has found it."""

    def __init__(self) -> None:
        self._observed = metrics.Gauge(
            "raymask_gallery_observed",
            description="Share of the people enrolled who are taken for somebody else, by the share that is promised.",
            tag_keys=("promised",),
        )
        self._warning = metrics.Gauge(
            "raymask_gallery_warning", description="1 where it is more than is promised; else 0, also without a check."
        )

    def __call__(self, check: SelfCheck | None) -> None:
        """Report a check, or that there is none. Then the shares observed last stay as they are."""
        for share in check.shares if check else ():
            self._observed.set(share.observed, tags={"promised": f"{share.expected:g}"})
        self._warning.set(float(check is not None and check.exceeds))
