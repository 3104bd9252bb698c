"""Scores whose distribution is known."""

import numpy as np
from scipy.stats import norm

from raymask.calibration.searches import Searches

SPREAD = 0.1


def independent(strangers: int, enrolled: int, seed: int = 0) -> Searches:
    """Scores that know nothing of each other: normal, around 0."""
    scores = np.random.default_rng(seed).normal(0, SPREAD, (strangers, enrolled))
    return Searches(scores.astype(np.float32), np.arange(strangers))


def true_fpir(threshold: float, enrolled: int) -> float:
    """Of `independent` scores."""
    return 1 - float(norm.cdf(threshold / SPREAD)) ** enrolled
