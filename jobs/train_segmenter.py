"""Train a segmenter, which finds the mask in a crop, on prepared faces with Ray Train; started again, it continues."""

from raymask.cli import parse, run
from raymask.train.staged.segmenter_config import TrainSegmenterConfig


def main() -> None:
    config = parse(TrainSegmenterConfig, __doc__).smoked()

    from raymask.train.on_ray.trainer import train_on_ray

    bundle, metrics = train_on_ray(config)
    if "iou" in metrics:
        print(f"validation: IoU {metrics['iou']:.3f}, {metrics['bare_empty']:.1%} of bare faces left alone")
    print(f"the segmenter is in {bundle}; an inpainter fills what it finds: jobs/train_inpainter.py")


if __name__ == "__main__":
    run(main)
