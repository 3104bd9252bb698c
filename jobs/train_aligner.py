"""Train an aligner, which finds eyes, nose and mouth under a mask, on prepared faces with Ray Train; started again, it
continues."""

from raymask.cli import parse, run
from raymask.train.staged.aligner_config import TrainAlignerConfig


def main() -> None:
    config = parse(TrainAlignerConfig, __doc__).smoked()

    from raymask.train.on_ray.trainer import train_on_ray

    bundle, metrics = train_on_ray(config)
    if "away_masked" in metrics:
        bare, masked, begun = (metrics[name] for name in ("away_bare", "away_masked", "begun_away"))
        print(f"validation: points {bare:.3f} away on bare faces, {masked:.3f} on masked ones; before {begun:.3f}")
    if "away_worn" in metrics:
        print(f"real masks: points of two views {metrics['away_worn']:.3f} apart")
    print(f"the aligner is in {bundle}")


if __name__ == "__main__":
    run(main)
