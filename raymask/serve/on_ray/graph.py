"""The application that `serve_configs/*.yaml` name: the deployments, and what each of them needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ray import serve
from ray.serve import Application

from raymask.faces.detection.names import absolute_detector
from raymask.gallery.table import check_space
from raymask.models.spec import SHIPPED_NAMES, ModelSpec
from raymask.serve.core.config import MOST_IN_FLIGHT, ServiceConfig, StageConfig, StageName, from_mapping
from raymask.serve.core.plan import Network, Plan
from raymask.serve.core.stages import Detector, Embedder, Inpainter, Segmenter
from raymask.serve.on_ray.api_replica import ApiReplica
from raymask.serve.on_ray.gallery_replicas import GallerySearchReplica, GalleryWriterReplica
from raymask.serve.on_ray.stage_replica import StageReplica
from raymask.storage import Folder, absolute

CPUS = {
    "Detector": 0.4,
    "Segmenter": 0.1,
    "Inpainter": 0.2,
    "MaskedEmbedder": 0.1,
    "BareEmbedder": 0.1,
    "GallerySearch": 0.1,
    "GalleryWriter": 0.1,
    "Api": 0.1,
}
"""Cores that a replica books where a configuration says nothing; all of them start on two."""
_HEALTH = {"health_check_period_s": 2, "health_check_timeout_s": 30}
_NO_REPLICA = {"autoscaling_config": {"min_replicas": 0, "initial_replicas": 0, "max_replicas": 1}}
"""For a deployment that has nothing to do. It stays in the list, because configuration files may name it."""
_ONGOING = 64
"""Requests that a stage's replica has at a time at most; what is worked on at a time, Api limits."""
_ARRIVING = 10 * MOST_IN_FLIGHT
"""Requests that a replica of Api has at a time at most, so that it can refuse them itself, with an answer that says
when to come again."""
_QUEUED = 128
"""Requests that wait for a deployment at most."""


def build(args: Mapping[str, Any]) -> Application:
    """The application of the `args` of a configuration file; see `ServiceConfig`.

    Raises:
        ConfigError: an argument is unknown or wrong.
        ModelError: a model is missing, with the command that makes it; or the gallery is another recogniser's.
    """
    config = _absolute(from_mapping(ServiceConfig, args, "args"))
    plan = Plan.of(config.models)
    check_space(Folder(config.gallery), plan.space)  # before anything of what runs is replaced
    stages: dict[StageName, tuple[Callable[..., Any], tuple[Network, ...]]] = {
        "Detector": (partial(Detector, plan.detector), ()),
        "Segmenter": (partial(Segmenter, plan.segmenter), (plan.segmenter,)),
        "Inpainter": (partial(Inpainter, plan.inpainter), (plan.inpainter,)),
        "MaskedEmbedder": (partial(Embedder, plan.masked_networks, own=plan.own), plan.masked_networks),
        "BareEmbedder": (partial(Embedder, plan.bare_networks, own=plan.own), plan.bare_networks),
    }
    handles: dict[str, Application] = {}
    for name, (make, networks) in stages.items():
        stage = config.stages.get(name, StageConfig())
        digests = tuple(network.digest for network in networks)
        deployment = _deployment(StageReplica, name, idle=name in plan.idle)
        handles[name] = deployment.bind(partial(make, device=stage.device), digests, stage)
    search = _deployment(GallerySearchReplica, "GallerySearch")
    handles["GallerySearch"] = search.bind(config.gallery, plan.space, plan.searches)
    handles["GalleryWriter"] = _deployment(GalleryWriterReplica, "GalleryWriter").bind(config.gallery, plan.space)
    return _deployment(serve.ingress()(ApiReplica), "Api").bind(config, plan, handles)


def _deployment(kind: type, name: str, *, idle: bool = False) -> Any:
    return serve.deployment(
        kind,
        name=name,
        ray_actor_options={"num_cpus": CPUS[name]},
        max_ongoing_requests=_ARRIVING if name == "Api" else _ONGOING,
        max_queued_requests=_QUEUED,
        # A changed model is there before the old one goes; of the gallery's writer there is never a second.
        max_surge_percent=0 if name == "GalleryWriter" else 100,
        **(_NO_REPLICA if idle else {}),
        **_HEALTH,
    )


def _absolute(config: ServiceConfig) -> ServiceConfig:
    """With paths that hold in every replica's folder."""
    models = config.models
    return replace(
        config,
        models=replace(
            models,
            detector=absolute_detector(models.detector),
            fused=absolute(models.fused),
            segmenter=models.segmenter and absolute(models.segmenter),
            inpainter=models.inpainter and absolute(models.inpainter),
            masked_embedder=models.masked_embedder and _absolute_embedder(models.masked_embedder),
            bare_embedder=models.bare_embedder and _absolute_embedder(models.bare_embedder),
        ),
        gallery=absolute(config.gallery),
        keys=None if config.keys is None else absolute(config.keys),
    )


def _absolute_embedder(name: str) -> str:
    """Raises ConfigError for a name that fits no embedder, ModelError for a file that is not there."""
    spec = ModelSpec.checked(name, "embedder")
    return name if name in SHIPPED_NAMES else str(spec.absolute())
