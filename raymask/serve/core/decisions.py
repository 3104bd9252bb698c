"""What a score means: by the fusion's table, for as many as are enrolled, or by thresholds that were given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from raymask.calibration.table import HIGHEST_RATE, STATES, SearchTable, State, Threshold
from raymask.errors import ConfigError
from raymask.serve.core.config import Policy, ThresholdPair
from raymask.serve.core.plan import Plan
from raymask.serve.core.schemas import Decision

_REVIEWED = 10
"""Times as many strangers come up for review as are taken for the one person with whom they are compared."""


class Bounds(NamedTuple):
    """From which scores a face is somebody's."""

    match: Threshold
    review: Threshold
    known: bool
    """Whether the thresholds are made for as many as are enrolled; if not, nobody is called a match."""

    @property
    def extrapolated(self) -> bool:
        """Whether they, or the rates that they imply, come from a fit."""
        return self.match.extrapolated or self.review.extrapolated

    def decide(self, scores: Sequence[float]) -> tuple[Decision, bool]:
        """The decision on the scores of the nearest people, nearest first, and whether the first two are a tie.

        Of two who are equally near, one name would be arbitrary: that is for a person to look at.
        """
        if not scores or scores[0] < self.review.score:
            return "unknown", False
        tied = len(scores) > 1 and scores[0] == scores[1]
        sure = self.known and not tied and scores[0] >= self.match.score
        return ("match" if sure else "review"), tied


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """The thresholds that hold."""

    searches: SearchTable | None
    policy: Policy

    @classmethod
    def of(cls, plan: Plan, policy: Policy) -> Decisions:
        """Those of the policy, or of the fusion.

        Raises:
            ConfigError: there are none, or the fusion's allow more strangers than the policy.
        """
        for state in STATES:
            if _given(policy, state) is not None:
                continue
            if plan.searches is None:
                raise ConfigError(
                    f"{plan.fused.spec} has no thresholds for these embedders on {state} faces; calibrate a fusion of "
                    f"them with jobs/calibrate.py or jobs/fuse.py, or give {state}: {{match: ..., review: ...}} in "
                    "Api's user_config"
                )
            for name in ("match_at", "review_at", "verify_at"):
                rate, lowest = getattr(policy, name), plan.searches.rates[-1]
                if rate < lowest:
                    raise ConfigError(
                        f"{name} {rate:g} is below {lowest:g}, the lowest rate that {plan.fused.spec} has thresholds "
                        "for; choose that or more, or calibrate the fusion again with jobs/calibrate.py"
                    )
        return cls(searches=plan.searches, policy=policy)

    def identifying(self, state: State, enrolled: int) -> Bounds:
        """Of a search among so many embeddings."""
        return self._bounds(state, enrolled, self.policy.match_at, self.policy.review_at)

    def verifying(self, state: State, embeddings: int) -> Bounds:
        """Of a comparison with one person, who has so many embeddings."""
        rate = self.policy.verify_at
        return self._bounds(state, embeddings, rate, min(_REVIEWED * rate, HIGHEST_RATE))

    def _bounds(self, state: State, enrolled: int, match_at: float, review_at: float) -> Bounds:
        pair = _given(self.policy, state)
        if pair is not None:
            match, review = (self._implied(state, score, enrolled) for score in (pair.match, pair.review))
            return Bounds(match, review, known=True)
        assert self.searches is not None
        match, review = (self.searches.threshold(state, rate, enrolled) for rate in (match_at, review_at))
        match, review = (one._replace(score=rounded(one.score)) for one in (match, review))
        return Bounds(match, review, known=match.fpir is not None)

    def _implied(self, state: State, score: float, enrolled: int) -> Threshold:
        """A threshold that was given, with the rate that it implies, where that is known."""
        implied = None if self.searches is None else self.searches.fpir(state, score, enrolled)
        if implied is None or implied.fpir is None:
            return Threshold(rounded(score), None, extrapolated=False)
        return implied._replace(score=rounded(score))


def rounded(score: float) -> float:
    """A score or threshold as answers show it and decisions take it: 4 digits, -1 to 1, which float32 may exceed."""
    return min(1.0, max(-1.0, round(float(score), 4)))


def _given(policy: Policy, state: State) -> ThresholdPair | None:
    return policy.masked if state == "masked" else policy.bare
