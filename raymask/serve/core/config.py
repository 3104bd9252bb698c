"""What a service is made of, and what can be changed while it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from raymask.calibration.table import check_rate
from raymask.errors import ConfigError
from raymask.serve.core.plan import STRICT, ModelsConfig

C = TypeVar("C")

MOST_FACES = 50
"""Their maps go from stage to stage in one message, of 4 MiB at most."""
MOST_IN_FLIGHT = 500
StageName = Literal["Detector", "Segmenter", "Inpainter", "MaskedEmbedder", "BareEmbedder"]
"""Deployments that hold networks."""


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """How a stage's replicas work."""

    __pydantic_config__ = STRICT
    threads: int = 1
    """Threads of a network, 1 or more."""
    device: str = "cpu"
    """cpu or cuda (cuda:1 for the second of those that the replica books): where its network runs."""

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"threads must be 1 or more, not {self.threads}")
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise ConfigError(f"device must be cpu or cuda, not {self.device!r}")


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """The `args` of an application in `serve_configs/`."""

    __pydantic_config__ = STRICT
    models: ModelsConfig = field(default_factory=ModelsConfig)
    """The networks; by default those that come with raymask."""
    gallery: str
    """Folder (or URI) of the gallery; made if it is not there."""
    keys: str | None = None
    """File with the hashes of API keys, which jobs/keys.py writes; null: no keys, and answers on this machine only."""
    stages: Mapping[StageName, StageConfig] = field(default_factory=dict)
    """By deployment, such as Inpainter: {device: cuda}; others have the defaults."""


@dataclass(frozen=True, kw_only=True)
class ThresholdPair:
    """Similarities from which a face is somebody's."""

    __pydantic_config__ = STRICT
    match: float
    """Cosine, -1 to 1: at or above it the decision is match."""
    review: float
    """Cosine, at most `match`: between the two the decision is review, below it unknown."""

    def __post_init__(self) -> None:
        if not -1 <= self.review <= self.match <= 1:
            raise ConfigError(f"thresholds must be -1 <= review <= match <= 1, not {self.review} and {self.match}")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The `user_config` of the deployment Api: changed in place, without a restart."""

    __pydantic_config__ = STRICT
    match_at: float = 1e-2
    """Share of strangers' searches, among all who are enrolled now, that end in a match: FPIR, 1e-5 to 0.5."""
    review_at: float = 1e-1
    """Share of them that end in a review or a match, likewise; `match_at` or more."""
    verify_at: float = 1e-3
    """Share of strangers who match the one person with whom they are compared: false-match rate, 1e-5 to 0.5."""
    bare: ThresholdPair | None = None
    """Thresholds for bare faces, however many are enrolled; null: the fusion's at those rates."""
    masked: ThresholdPair | None = None
    """Thresholds for masked faces, likewise."""
    candidates: int = 5
    """People named for a face at most, 0 to 100."""
    faces: int = 16
    """Faces looked at in a photo at most, the largest first; 1 to MOST_FACES."""
    body_bytes: int = 10_000_000
    """Of a request at most."""
    pixels: int = 25_000_000
    """Of a photo at most; larger ones are refused before they are decoded."""
    in_flight: int = 16
    """Requests worked on at a time by one replica of Api, 1 to MOST_IN_FLIGHT; others are asked to come again."""
    per_minute: int | None = None
    """Requests of one key in a minute; null: as many as it wants."""
    body_seconds: float = 20.0
    """A request must have arrived whole after that."""

    def __post_init__(self) -> None:
        for name, least, most in (("candidates", 0, 100), ("faces", 1, MOST_FACES), ("in_flight", 1, MOST_IN_FLIGHT)):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigError(f"{name} must be {least} to {most}, not {value}")
        if self.body_bytes < 1 or self.pixels < 1 or self.body_seconds <= 0:
            raise ConfigError("body_bytes, pixels and body_seconds must be more than 0")
        if self.per_minute is not None and self.per_minute < 1:
            raise ConfigError(f"per_minute must be 1 or more, not {self.per_minute}")
        for name in ("match_at", "review_at", "verify_at"):
            check_rate(name, getattr(self, name))
        if self.match_at > self.review_at:
            raise ConfigError(f"match_at {self.match_at:g} must not be above review_at {self.review_at:g}")


def from_mapping(kind: type[C], values: Mapping[str, Any], name: str) -> C:
    """A configuration of YAML's values. Raises ConfigError that names the field for what it does not know."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or name
        reason = "is unknown" if first["type"] == "unexpected_keyword_argument" else f"is wrong: {first['msg']}"
        raise ConfigError(f"{name}: {where} {reason}") from None
