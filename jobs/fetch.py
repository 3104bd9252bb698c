"""Fetch datasets of faces, as trees that jobs/prepare.py takes, or say what to put where."""

from pathlib import Path

from raymask.cli import parse, run
from raymask.data.prepare.fetch import DATASETS, FetchConfig, fetch


def main() -> None:
    names = ", ".join(f"{name} ({dataset.about})" for name, dataset in DATASETS.items())
    config = parse(FetchConfig, __doc__, positional=("datasets", f"Any of {names}."))

    from raymask.data.prepare.photos import list_photos
    from raymask.storage import Folder

    for name in config.datasets:
        root = fetch(name, Path(config.out))
        photos, _ = list_photos(Folder(str(root)))
        people = len({photo.identity for photo in photos})
        print(f"{name}: {len(photos):,} photos of {people:,} people; prepare them with --images {root}")


if __name__ == "__main__":
    run(main)
