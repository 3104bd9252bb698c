"""Strangers' faces as a recogniser sees them, and the searches that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from raymask.calibration.searches import Searches
from raymask.evaluate.config import Drawing
from raymask.evaluate.embedding import Embedded, embed_probes
from raymask.evaluate.probes import Probe, Probes
from raymask.evaluate.strangers.photos import Stranger
from raymask.faces.masks import Textures
from raymask.recognisers.base import Recogniser
from raymask.storage import Folder


class Look(NamedTuple):
    """How masks are drawn on strangers."""

    masks: Sequence[str]
    """As jobs/prepare.py takes them."""
    seed: int
    textures: Textures | None = None
    """What the look cloth:own is made of."""
    drawing: Drawing = "fitted"


@dataclass(frozen=True, eq=False)
class Faces:
    """Photos of N strangers."""

    names: Sequence[str]
    embeddings: np.ndarray
    """(N, D) float32 of unit length."""
    found: np.ndarray
    """(N,) bool: a face was found."""

    def with_others(self, others: Faces) -> Faces:
        """These, and others behind them."""
        return Faces(
            [*self.names, *others.names],
            np.concatenate([self.embeddings, others.embeddings]),
            np.concatenate([self.found, others.found]),
        )


@dataclass(frozen=True, eq=False)
class StrangerFaces:
    """All that a recogniser has seen of strangers."""

    bare: Faces
    drawn: Faces
    """The same people in drawn masks."""
    enrolled: Faces
    """The bare faces again, and those of people who are only enrolled."""
    worn: Faces | None
    """Others in real masks; None: there are none."""

    def searches(self, repeats: Sequence[tuple[str, str]]) -> dict[str, Searches]:
        """Of bare faces, of faces in drawn masks and of faces in real masks (`bare`, `masked`, `worn`).

        Each is searched among all who are enrolled but themselves.

        Args:
            repeats: pairs of people who are one person, or may be, and are not compared.
        """
        faces = {"bare": self.bare, "masked": self.drawn} | ({} if self.worn is None else {"worn": self.worn})
        return {name: self._searches(searched, repeats) for name, searched in faces.items()}

    def _searches(self, searched: Faces, repeats: Sequence[tuple[str, str]]) -> Searches:
        cosines = searched.embeddings @ self.enrolled.embeddings.T
        cosines[~searched.found] = np.nan
        if searched is not self.worn:
            np.fill_diagonal(cosines, np.nan)
            row = {name: number for number, name in enumerate(searched.names)}
            column = {name: number for number, name in enumerate(self.enrolled.names)}
            for pair in repeats:
                for one, other in (pair, pair[::-1]):
                    if one in row and other in column:
                        cosines[row[one], column[other]] = np.nan
        return Searches(cosines[:, self.enrolled.found], np.arange(len(cosines)))


def embed_strangers(
    strangers: Sequence[Stranger], recognisers: Mapping[str, Recogniser], look: Look
) -> dict[str, StrangerFaces]:
    """What each recogniser makes of strangers' photos: bare, with masks drawn on them, and in real masks.

    Raises:
        DataError, ModelError: as `embed_probes`.
    """
    groups = {
        name: [one for one in strangers if (one.searched, one.in_real_mask) == sort]
        for name, sort in {"bare": (True, False), "enrolled": (False, False), "worn": (True, True)}.items()
    }
    answers = {name: _embedded(group, recognisers, look) for name, group in groups.items() if group}
    names = [one.photo.identity for one in groups["bare"]]
    found = {}
    for name, both in answers["bare"].items():
        bare = Faces(names, both.embeddings[::2], both.found[::2])
        others = answers.get("enrolled", {}).get(name)
        found[name] = StrangerFaces(
            bare=bare,
            drawn=Faces(names, both.embeddings[1::2], both.found[1::2]),
            enrolled=bare if others is None else bare.with_others(others),
            worn=answers.get("worn", {}).get(name),
        )
    return found


def _embedded(strangers: Sequence[Stranger], recognisers: Mapping[str, Recogniser], look: Look) -> dict[str, Faces]:
    """By recogniser; bare photos are there twice, as they are and masked, one after the other."""
    answers: dict[str, list[Embedded]] = {name: [] for name in recognisers}
    for root, group in groupby(strangers, lambda one: one.root):
        wanted = [probe for one in group for probe in _probes(one)]
        folder = Folder(root)
        probes = Probes(folder, **look._asdict(), others={"masked_images": folder})
        for name, answer in embed_probes(wanted, probes, recognisers).items():
            answers[name].append(answer)
    return {
        name: Faces(
            [one.photo.identity for one in strangers],
            np.concatenate([answer.embeddings for answer in parts]),
            np.concatenate([answer.found for answer in parts]),
        )
        for name, parts in answers.items()
    }


def _probes(stranger: Stranger) -> list[Probe]:
    if stranger.in_real_mask:
        return [Probe(stranger.photo, True, "masked_images")]
    if not stranger.searched:
        return [Probe(stranger.photo, False)]
    return [Probe(stranger.photo, False), Probe(stranger.photo, True)]
