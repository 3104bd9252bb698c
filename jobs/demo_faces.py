"""Render photos of invented people, ROOT/IDENTITY/*.jpg, to try everything without a real person's face."""

from dataclasses import dataclass

from raymask.cli import parse, run
from raymask.demo import write_faces


@dataclass(frozen=True, kw_only=True)
class DemoFacesConfig:
    """Whom to invent."""

    out: str
    """Folder to write; photos that are there already stay as they are."""
    people: int = 80
    """Invented people."""
    photos: int = 10
    """Photos of each."""
    seed: int = 0
    """Decides who they are and how they are photographed."""


def main() -> None:
    config = parse(DemoFacesConfig, __doc__)
    root = write_faces(config.out, people=config.people, photos=config.photos, seed=config.seed)
    print(f"{config.people} people are in {root}; prepare them with jobs/prepare.py --images {root} --out ...")


if __name__ == "__main__":
    run(main)
