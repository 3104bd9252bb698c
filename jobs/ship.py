"""Copy a bundle in half precision and without this machine's folders, so that it can be given away."""

from dataclasses import dataclass

from raymask.cli import parse, run


@dataclass(frozen=True, kw_only=True)
class ShipConfig:
    """What to copy, and where to."""

    bundle: str
    """Folder of a bundle, as jobs/train.py and its like leave it."""
    out: str
    """Folder of the copy; a bundle that is there is replaced."""


def main() -> None:
    config = parse(ShipConfig, __doc__)

    from raymask.models.bundle import ship_bundle

    made = ship_bundle(config.bundle, config.out)
    size = (made / "model.safetensors").stat().st_size
    print(f"{made} holds {size / 2**20:.1f} MiB; say in a model card what it was made of and how good it is")


if __name__ == "__main__":
    run(main)
