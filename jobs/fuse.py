"""Fuse recognisers into one, calibrated on validation people: scales, and thresholds for masked and bare probes.

A single recogniser is calibrated in the same way, and the service takes it as it takes several.
"""

from raymask.cli import parse, run
from raymask.evaluate.calibrate_config import FuseConfig


def main() -> None:
    recognisers = (
        "maskfacenet, mrii, sface, dlib, facenet, onnx:FILE, bundle:DIR, mrii:SEGMENTER,INPAINTER,EMBEDDER, "
        "routed:MASKED,BARE, or your own: an installed one or python:MODULE:ATTRIBUTE; one or more."
    )
    config = parse(FuseConfig, __doc__, positional=("recognisers", recognisers))

    from raymask.evaluate.calibrate import fuse

    done = fuse(config)
    for name, (bare, masked) in done.rank1.items():
        weight = f", weight {done.weights[name]:.2f}" if name in done.weights else ""
        print(f"{name}: validation rank-1 {bare:.1%} bare, {masked:.1%} masked{weight}")
    for name, threshold in done.thresholds.items():
        state, rate = name.split("_")
        print(f"threshold for two photos, {state}, at false-match rate {rate}: {threshold:.3f}")
    table = done.searches
    print(
        f"thresholds for searches rest on {table.strangers:,} people, {table.measured:,} of whom were enrolled; find "
        f"better ones on strangers by jobs/calibrate.py --fused {done.folder} --strangers FOLDER --out {done.folder}"
    )
    print(f"the fusion is in {done.folder}; evaluate it with jobs/evaluate.py ... fused:{done.folder}")


if __name__ == "__main__":
    run(main)
