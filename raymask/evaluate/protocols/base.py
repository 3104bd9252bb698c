"""A protocol applied to photos: which probes it takes, and what becomes of their embeddings.

The protocols themselves are pure functions of arrays (`*_maths.py`); in the trials they meet people and photos.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from raymask.data.prepare.photos import Photo
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.measures import Scored
from raymask.evaluate.probes import Probe


@dataclass(frozen=True)
class Query:
    """A probe to show in the report, and the probes it was compared with; numbers of `ProtocolTrial.probes`."""

    probe: int
    candidates: np.ndarray


@dataclass(frozen=True)
class Match:
    """A candidate as a recogniser sees it."""

    probe: int
    """Its number in `ProtocolTrial.probes`."""
    score: float
    """Cosine similarity."""
    right: bool
    """Whether it is the person sought; with pairs, whether the pair is judged rightly."""


class ProtocolTrial(ABC):
    """A protocol on given photos."""

    probes: list[Probe]
    """All that must be embedded."""
    people: list[str]
    """Who is resampled."""
    title: str
    """What is done, in a sentence."""
    headline: str
    """Key of the measure that matters most."""
    scores_shown: tuple[str, str]
    """What `Scored.same` and `Scored.different` are."""

    crowd: int = 0
    """How many of the probes, the last, are of people about whom nobody asks."""

    @property
    def asked(self) -> list[Probe]:
        """All but the crowd."""
        return self.probes[: len(self.probes) - self.crowd]

    @abstractmethod
    def score(self, answer: Embedded) -> Scored:
        """A recogniser's figures."""

    @abstractmethod
    def queries(self) -> list[Query]:
        """Probes that the report may show."""

    @abstractmethod
    def matcher(self, answer: Embedded) -> Callable[[Query], list[Match]]:
        """A recogniser's eye: the candidates nearest to a probe, best first; none if no face was found in it."""


class PhotosTrial(ProtocolTrial):
    """All photos, bare (rows 0 to N - 1) and masked (from row N on): drawn on the same, or others in real masks."""

    def __init__(self, photos: Sequence[Photo], in_real_masks: Sequence[Photo] | None = None) -> None:
        """`in_real_masks`: photos of people of `photos`; None: masks are drawn on these."""
        self.photos = list(photos)
        drawn = in_real_masks is None
        masked = [Probe(photo, True) for photo in photos] if in_real_masks is None else []
        masked += [Probe(photo, True, "masked_images") for photo in in_real_masks or ()]
        self.probes = [*(Probe(photo, False) for photo in photos), *masked]
        names, codes = np.unique([photo.identity for photo in photos], return_inverse=True)
        self.people = [str(name) for name in names]
        self.photos_of = [np.flatnonzero(codes == person) for person in range(len(names))]
        self.identities = np.searchsorted(names, [probe.photo.identity for probe in self.probes])
        self.masked = np.repeat([False, True], [len(photos), len(masked)])
        self.shots = np.arange(len(self.probes)) % (len(photos) if drawn else len(self.probes))
        """(rows,) int: a photo and the same photo with a mask drawn on it are one shot."""

    def matcher(self, answer: Embedded) -> Callable[[Query], list[Match]]:
        """Gives the three nearest."""
        return partial(self._nearest, answer)

    def _nearest(self, answer: Embedded, query: Query) -> list[Match]:
        candidates = query.candidates[answer.found[query.candidates]]
        if not answer.found[query.probe]:
            return []
        scores = answer.embeddings[candidates] @ answer.embeddings[query.probe]
        person = self.identities[query.probe]
        return [
            Match(int(candidates[place]), float(scores[place]), bool(self.identities[candidates[place]] == person))
            for place in np.argsort(-scores, kind="stable")[:3]
        ]
