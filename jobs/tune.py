"""Search for the settings of a training with Ray Tune; started again under the same name, it continues."""

from raymask.cli import parse, run
from raymask.tune.config import TuneConfig
from raymask.tune.ray_tune import tune_on_ray


def main() -> None:
    config = parse(TuneConfig, __doc__)
    result = tune_on_ray(config)
    print(result.table)
    print(f"best is trial {result.best.name}; the surface is drawn in {result.folder}/surface.png")
    print(f"train it with jobs/train.py --config {result.folder}/best.yaml --storage {config.storage} --name NAME")


if __name__ == "__main__":
    run(main)
