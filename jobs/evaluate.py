"""Evaluate recognisers on whole photos, bare and masked: figures with intervals, a table and a report."""

from raymask.cli import parse, run
from raymask.evaluate.config import EvaluateConfig


def main() -> None:
    recognisers = (
        "maskfacenet, mrii and fused, which come with raymask; dlib, facenet[:WEIGHTS], onnx:FILE, bundle:DIR, "
        "mrii:SEGMENTER,INPAINTER,EMBEDDER, routed:MASKED,BARE, fused:DIR, or your own: an installed one or "
        "python:MODULE:ATTRIBUTE; any number of them."
    )
    config = parse(EvaluateConfig, __doc__, positional=("recognisers", recognisers))

    from raymask.evaluate.run import evaluate

    print(evaluate(config).text())
    print(f"\nlook at {config.out}/report.html; all figures are in {config.out}/table.json")


if __name__ == "__main__":
    run(main)
