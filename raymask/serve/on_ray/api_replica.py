"""The HTTP API on Ray Serve."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from ray.serve import metrics
from ray.serve.handle import DeploymentHandle

from raymask.errors import ConfigError
from raymask.ray_private import request_id
from raymask.serve.core.config import Policy, ServiceConfig, from_mapping
from raymask.serve.core.plan import Plan
from raymask.serve.core.service import Service
from raymask.serve.http.app import create_app
from raymask.serve.http.keys import KeyFile
from raymask.serve.http.middleware import Guard
from raymask.serve.on_ray.gallery_replicas import GalleryName
from raymask.serve.on_ray.handles import RayGallery, RayStages


class ApiReplica:
    """The HTTP API."""

    def __init__(self, config: ServiceConfig, plan: Plan, handles: Mapping[str, DeploymentHandle]) -> None:
        """Raises DataError if the keys cannot be read, ConfigError if there have to be some."""
        if config.keys is None and os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1":
            raise ConfigError(
                "behind HAProxy every client seems to be on this machine, which alone is answered without keys; make "
                "keys with jobs/keys.py and name their file in serve_configs"
            )
        _log_with_serve()
        self._keys = None if config.keys is None else KeyFile(config.keys)
        name = GalleryName(config.gallery, plan.space.digest)
        gallery = RayGallery(handles["GallerySearch"], handles["GalleryWriter"], name)
        decisions = metrics.Counter(
            "raymask_decisions", description="Decisions on faces, and on pairs.", tag_keys=("decision", "face")
        )

        def count(decision: str, masked: bool) -> None:
            decisions.inc(tags={"decision": decision, "face": "masked" if masked else "bare"})

        self._service = Service(plan, RayStages(handles, plan), gallery, Policy(), count)

    def reconfigure(self, config: Mapping[str, Any] | None, rank: Any = None) -> None:
        """Set thresholds and limits. Raises ConfigError for what it does not know.

        Only who takes the replica's `rank` hears from Serve of a `user_config` that was taken out.
        """
        self._service.set_policy(from_mapping(Policy, config or {}, "user_config of Api"))

    def check_health(self) -> None:
        """For Serve, which replaces the replica if this raises.

        Raises:
            ConfigError: the fusion has no thresholds that hold, and no others are given.
            RuntimeError: a photo is being decoded without end; nothing but the end of the process ends that.
        """
        _ = self._service.decisions
        if self._service.decoding.stuck:
            raise RuntimeError("a photo is being decoded without end")

    def __serve_build_asgi_app__(self) -> Guard:
        """For `serve.ingress`."""
        return create_app(self._service, self._keys, request_id=request_id)


def _log_with_serve() -> None:
    """Our lines go where Serve's go."""
    ours, serves = logging.getLogger("raymask"), logging.getLogger("ray.serve")
    ours.setLevel(logging.INFO)
    ours.handlers, ours.propagate = serves.handlers, False
