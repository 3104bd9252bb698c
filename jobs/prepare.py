"""Prepare a folder of faces: find them, draw masks on them, crop them, split the people; on Ray Data."""

from raymask.cli import parse, run
from raymask.data.prepare import PrepareConfig, prepare, preview


def main() -> None:
    config = parse(PrepareConfig, __doc__)
    if config.preview is not None:
        print(f"look at {preview(config, config.preview)}")
        return
    summary = prepare(config)
    print(f"{summary['rows']:,} of {summary['photos']:,} photos prepared, {summary['dropped']:,} dropped (see below)")
    for split, part in summary["splits"].items():
        print(f"  {split:5} {part['people']:6,} people {part['rows']:8,} photos")
    print(f"look at {config.out}/sheet.png; {config.out}/dropped.parquet says why a photo was dropped")


if __name__ == "__main__":
    run(main)
