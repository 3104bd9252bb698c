"""Prepare a folder of faces: find them, draw masks on them, crop them, split the people; on Ray Data."""

from dataclasses import dataclass

from raymask.cli import parse, run
from raymask.data.prepare.config import PrepareConfig
from raymask.data.prepare.preview import preview
from raymask.data.prepare.run import prepare
from raymask.errors import ConfigError
from raymask.models.unmasker_parts import UnmaskerParts
from raymask.storage import absolute


@dataclass(frozen=True, kw_only=True)
class JobConfig(PrepareConfig):
    """What to prepare, and how."""

    unmask: tuple[str, ...] | None = None
    """SEGMENTER,INPAINTER: bundles that take the subjects' masks off again as mrii: does, for its embedder to learn
    from faces that were painted so; every worker must reach them. null: masks stay on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unmask is not None and len(self.unmask) != 2:
            raise ConfigError(f"unmask takes two bundles, SEGMENTER,INPAINTER, not {','.join(self.unmask)}")


def main() -> None:
    config = parse(JobConfig, __doc__)
    repainter = UnmaskerParts(*map(absolute, config.unmask)) if config.unmask else None
    if config.preview is not None:
        print(f"look at {preview(config, config.preview, repainter)}")
        return
    summary = prepare(config, repainter)
    print(f"{summary['rows']:,} of {summary['photos']:,} photos prepared, {summary['dropped']:,} dropped (see below)")
    if config.leave_out is not None:
        left = summary["left_out"]
        print(f"  of these {left['photos']:,} photos of {left['people']:,} people are left out by {config.leave_out}")
    for split, part in summary["splits"].items():
        print(f"  {split:5} {part['people']:6,} people {part['rows']:8,} photos")
    print(f"look at {config.out}/sheet.png; {config.out}/dropped.parquet says why a photo was dropped")


if __name__ == "__main__":
    run(main)
