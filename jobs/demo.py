"""Show the whole main job on invented people: faces, masks, both ways to recognise trained and fused, reports, and
an answer over HTTP."""

from raymask.cli import parse, run
from raymask.demo import DemoConfig, run_demo


def main() -> None:
    run_demo(parse(DemoConfig, __doc__))


if __name__ == "__main__":
    run(main)
