"""A smooth function through a few noisy measurements: Gaussian process regression, small enough for plain numpy.

Shapes: N measurements, M places, D axes.
"""

from __future__ import annotations

from itertools import product

import numpy as np

LENGTHS = (0.3, 0.5, 0.8, 1.3)
"""Candidates for how far along an axis a measurement tells something, the axis being 1 long; shorter ones would draw
a hill for every measurement."""

NOISES = (0.05, 0.2, 0.6, 1.5)
"""Candidates for the measurements' own variance, as a share of the function's."""


def smooth(at_ND: np.ndarray, values_N: np.ndarray, places_MD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The function at other places: (M,) means and (M,) standard deviations of what is known about it.

    Length scales and noise are those under which the measurements are likeliest.

    Args:
        at_ND: where was measured, each axis from 0 to 1; N is 1 or more.
        values_N: what was measured there.
        places_MD: where to look.
    """
    middle = values_N.mean()
    rest_N = values_N - middle
    candidates = [(np.array(lengths), noise) for *lengths, noise in product(*[LENGTHS] * at_ND.shape[1], NOISES)]
    lengths_D, noise = max(candidates, key=lambda candidate: _likelihood(at_ND, rest_N, *candidate))
    factor_NN = np.linalg.cholesky(_kernel(at_ND, at_ND, lengths_D) + noise * np.eye(len(at_ND)))
    scaled_N = np.linalg.solve(factor_NN, rest_N)
    between_NM = np.linalg.solve(factor_NN, _kernel(at_ND, places_MD, lengths_D))
    variance = (scaled_N**2).mean()
    known_M = (between_NM**2).sum(0)
    return middle + between_NM.T @ scaled_N, np.sqrt(variance * np.clip(1 - known_M, 0, 1))


def _likelihood(at_ND: np.ndarray, rest_N: np.ndarray, lengths_D: np.ndarray, noise: float) -> float:
    """Logarithm, up to a constant, with the function's own variance at its likeliest."""
    factor_NN = np.linalg.cholesky(_kernel(at_ND, at_ND, lengths_D) + noise * np.eye(len(at_ND)))
    variance = (np.linalg.solve(factor_NN, rest_N) ** 2).mean()
    return float(-len(rest_N) / 2 * np.log(variance + 1e-12) - np.log(np.diag(factor_NN)).sum())


def _kernel(a_ND: np.ndarray, b_MD: np.ndarray, lengths_D: np.ndarray) -> np.ndarray:
    """(N, M) correlations of the function's values."""
    apart_NMD = (a_ND[:, None] - b_MD[None]) / lengths_D
    return np.exp(-(apart_NMD**2).sum(-1) / 2)
