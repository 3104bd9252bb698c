"""Which probes the report shows, and what each recogniser made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from raymask.evaluate.embedding import Embedded
from raymask.evaluate.protocols.base import Match, ProtocolTrial, Query

SHOWN = {"they disagree": 4, "all wrong": 3, "all right": 2}
"""How many probes of each sort are shown, if there are so many."""


class Example(NamedTuple):
    """A probe and each recogniser's nearest candidates, best first; none where the probe was a miss."""

    sort: str
    query: Query
    matches: dict[str, list[Match]]


def choose_examples(trial: ProtocolTrial, answers: Mapping[str, Embedded], *, seed: int) -> list[Example]:
    """Probes on which the recognisers disagree, all fail, or all succeed, of as many people as possible."""
    examples = []
    matchers = {name: trial.matcher(answer) for name, answer in answers.items()}
    for query in trial.queries():
        matches = {name: matcher(query) for name, matcher in matchers.items()}
        right = [bool(found) and found[0].right for found in matches.values()]
        sort = "all right" if all(right) else "they disagree" if any(right) else "all wrong"
        examples.append(Example(sort, query, matches))
    order = np.random.default_rng(seed).permutation(len(examples))
    shuffled = [examples[number] for number in order]
    return [
        example
        for sort, most in SHOWN.items()
        for example in _of_many_people(trial, [one for one in shuffled if one.sort == sort])[:most]
    ]


def _of_many_people(trial: ProtocolTrial, examples: list[Example]) -> list[Example]:
    """The first example of every person, then the second, and so on."""
    seen: dict[str, int] = {}
    turns = []
    for example in examples:
        person = trial.probes[example.query.probe].photo.identity
        seen[person] = seen.get(person, 0) + 1
        turns.append(seen[person])
    return [examples[number] for number in np.argsort(turns, kind="stable")]
