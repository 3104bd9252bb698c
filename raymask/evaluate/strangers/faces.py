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


@dataclass(frozen=True, eq=False)
class StrangerFaces:
    """All that a recogniser has seen of strangers."""

    bare: Faces
    drawn: Faces
    """The same people in drawn masks."""
    worn: Faces | None
    """Others in real masks; None: there are none."""

    def searches(self, repeats: Sequence[tuple[str, str]]) -> dict[str, Searches]:
        """Of bare faces, of faces in drawn masks and of faces in real masks (`bare`, `masked`, `worn`).

        Enrolled are the bare faces of all others.

        Args:
            repeats: pairs of people who are one person, or may be, and are not compared.
        """
        faces = {"bare": self.bare, "masked": self.drawn} | ({} if self.worn is None else {"worn": self.worn})
        return {name: self._searches(searched, repeats) for name, searched in faces.items()}

    def _searches(self, searched: Faces, repeats: Sequence[tuple[str, str]]) -> Searches:
        cosines = searched.embeddings @ self.bare.embeddings.T
        cosines[~searched.found] = np.nan
        cosines[:, ~self.bare.found] = np.nan
        if searched is not self.worn:
            np.fill_diagonal(cosines, np.nan)
            place = {name: number for number, name in enumerate(self.bare.names)}
            for one, other in repeats:
                if one in place and other in place:
                    cosines[place[one], place[other]] = cosines[place[other], place[one]] = np.nan
        return Searches(cosines[:, self.bare.found], np.arange(len(cosines)))


def embed_strangers(
    strangers: Sequence[Stranger], recognisers: Mapping[str, Recogniser], look: Look
) -> dict[str, StrangerFaces]:
    """What each recogniser makes of strangers' photos: bare, with masks drawn on them, and in real masks.

    Raises:
        DataError, ModelError: as `embed_probes`.
    """
    bare = [one for one in strangers if not one.in_real_mask]
    worn = [one for one in strangers if one.in_real_mask]
    both = _embedded(bare, recognisers, look)
    alone = _embedded(worn, recognisers, look) if worn else {}
    names = [one.photo.identity for one in bare]
    return {
        name: StrangerFaces(
            bare=Faces(names, faces.embeddings[::2], faces.found[::2]),
            drawn=Faces(names, faces.embeddings[1::2], faces.found[1::2]),
            worn=alone.get(name),
        )
        for name, faces in both.items()
    }


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
    return [Probe(stranger.photo, False), Probe(stranger.photo, True)]
