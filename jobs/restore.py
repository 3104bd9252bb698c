"""Bring a backup back into a gallery, new or not; whom the gallery or the backup has erased since stays erased."""

from raymask.cli import parse, run
from raymask.gallery.backup import RestoreConfig, restore


def main() -> None:
    config = parse(RestoreConfig, __doc__)
    done = restore(config)
    print(f"{done.photos:,} photos are back in {config.gallery}; {done.known:,} were there already")
    if done.erased:
        print(f"{done.erased:,} photos were left out, because their people were erased since")


if __name__ == "__main__":
    run(main)
