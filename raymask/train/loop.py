"""`raymask.train.embedder.loop` under its first name, by which the README sent readers to it."""

from raymask.train.embedder.loop import DISTANCES_EVERY, Tally, Trained, train

__all__ = ["DISTANCES_EVERY", "Tally", "Trained", "train"]
