"""Train a MaskFaceNet on prepared faces with Ray Train; started again under the same name, it continues."""

from raymask.cli import parse, run
from raymask.train.engine.config import TrainConfig
from raymask.train.on_ray.trainer import train_on_ray


def main() -> None:
    config = parse(TrainConfig, __doc__)
    bundle, metrics = train_on_ray(config)
    print(f"trained for {metrics.get('epoch', 0):.0f} epochs")
    print(f"the model is in {bundle}; see how good it is with jobs/evaluate.py ... bundle:{bundle}")


if __name__ == "__main__":
    run(main)
