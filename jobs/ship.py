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
    fused: str | None = None
    """Fusion with this network as a part: the thresholds that it has found for that part are kept with it."""
    own: tuple[str, ...] = ()
    """Your own embedders and backbones that bundles may name, commas between them: installed entry points or
    python:MODULE:ATTRIBUTE. What a bundle names and this does not is never imported."""


def main() -> None:
    config = parse(ShipConfig, __doc__)

    from raymask.models.ship import ship_bundle
    from raymask.plugins import allow
    from raymask.recognisers.fused_bundle import thresholds_of

    allow(config.own)
    thresholds = None if config.fused is None else thresholds_of(config.fused, config.bundle)
    made = ship_bundle(config.bundle, config.out, thresholds=thresholds)
    size = (made / "model.safetensors").stat().st_size
    print(f"{made} holds {size / 2**20:.1f} MiB; say in a model card what it was made of and how good it is")


if __name__ == "__main__":
    run(main)
