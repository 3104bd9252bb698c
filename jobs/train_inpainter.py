"""Train an inpainter, which paints the face behind a mask, on prepared faces with Ray Train; started again, it
continues, stage by stage. Or make one of published EdgeConnect weights with --from-edgeconnect."""

from raymask.cli import parse, run
from raymask.train.staged.inpainter_config import TrainInpainterConfig


def main() -> None:
    config = parse(TrainInpainterConfig, __doc__).smoked()
    if config.from_edgeconnect is not None:
        from raymask.train.on_ray.import_edgeconnect import bundle_published

        print(f"the inpainter is in {bundle_published(config.from_edgeconnect, config.storage, config.name)}")
        return

    from raymask.train.on_ray.trainer import train_on_ray

    bundle, metrics = train_on_ray(config)
    if "identity" in metrics:
        print(
            f"validation: the teacher's similarity to the bare face is {metrics['identity']:.3f}, with the mask "
            f"{metrics['identity_masked']:.3f}"
        )
    print(f"the inpainter is in {bundle}; see what it makes of photos with jobs/evaluate.py --protocol unmask")


if __name__ == "__main__":
    run(main)
