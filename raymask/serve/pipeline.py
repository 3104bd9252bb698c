"""`raymask.serve.core.pipeline` under its first name, by which the README sent readers to it."""

from raymask.serve.core.pipeline import Pipeline, Seen, Stages, timed

__all__ = ["Pipeline", "Seen", "Stages", "timed"]
