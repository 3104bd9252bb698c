"""Find thresholds that hold for a search, on photos of strangers: how often they are taken for somebody enrolled.

The fusion and galleries made with it stay as they are; only its thresholds are others.
"""

from raymask.cli import parse, run
from raymask.evaluate.strangers.calibrate_config import CalibrateConfig


def main() -> None:
    config = parse(CalibrateConfig, __doc__)

    from raymask.evaluate.strangers.calibrate import calibrate

    print(calibrate(config).text())
    print(f"\nthe fusion with these thresholds is in {config.out}")


if __name__ == "__main__":
    run(main)
