"""Whiten an embedder: what differs between photos of one person, masked and bare, counts less. Takes minutes, and the
network stays as fast as it was."""

from raymask.cli import parse, run
from raymask.train.embedder.whiten_config import WhitenConfig


def main() -> None:
    config = parse(WhitenConfig, __doc__)

    from raymask.train.embedder.whiten import whiten

    made = whiten(config)
    print(f"the whitened network is in {made}; see how good it is with jobs/evaluate.py ... bundle:{made}")


if __name__ == "__main__":
    run(main)
