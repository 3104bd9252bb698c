"""Blend an embedder with the weights that its training began with: some of what it learned, some of what was known."""

from raymask.cli import parse, run
from raymask.train.embedder.blend_config import BlendConfig


def main() -> None:
    config = parse(BlendConfig, __doc__)

    from raymask.train.embedder.blend import blend

    made = blend(config)
    print(f"the blended network is in {made}; see how good it is with jobs/evaluate.py ... bundle:{made}")


if __name__ == "__main__":
    run(main)
