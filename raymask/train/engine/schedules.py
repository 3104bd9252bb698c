"""How a learning rate goes: shares of its height, by steps that are counted from 0. No torch."""

from __future__ import annotations

import math

_RISE = 0.2
"""Share of the training in which a cycle's rate rises."""


def dropped(epoch: int, step: int, *, every: int, factor: float, warmup: int) -> tuple[float, float]:
    """Of a rate that drops every few epochs: the share that a warm-up leaves of it, and what to divide it by.

    Args:
        every: epochs between drops; 0: never.
        factor: what a drop divides by.
        warmup: steps over which the rate rises from 0; 0: none.
    """
    drops = epoch // every if every else 0
    return (min(1.0, (step + 1) / warmup) if warmup else 1.0), math.pow(factor, drops)


def cycle(step: int, steps: int) -> float:
    """Up in a straight line over a fifth of the training, then down to 0 along half a cosine."""
    done = (step + 0.5) / steps
    return done / _RISE if done < _RISE else 0.5 + 0.5 * math.cos(math.pi * (done - _RISE) / (1 - _RISE))


def warm_cosine(step: int, steps: int) -> float:
    """Over a twentieth up, then down to 0 along half a cosine (Loshchilov and Hutter 2017)."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def cosine_to(least: float, step: int, steps: int) -> float:
    """Down from 1 along half a cosine that would come to `least` after the last step."""
    fall = 0.5 * (1 + math.cos(math.pi * step / steps))
    return least + (1 - least) * fall
