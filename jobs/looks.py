"""Draw a picture of masks on invented people, each from three sides: what --masks can name."""

from dataclasses import dataclass

from raymask.cli import parse, run
from raymask.errors import ConfigError
from raymask.faces.masks import TEST_LOOKS, TRAIN_LOOKS, UNCOVERED_LOOKS, check_looks
from raymask.storage import folder_and_name


@dataclass(frozen=True, kw_only=True)
class LooksConfig:
    """What to draw, and where."""

    out: str
    """PNG file."""
    masks: tuple[str, ...] = (*TRAIN_LOOKS, *TEST_LOOKS, *UNCOVERED_LOOKS)
    """Masks, each as KIND[:TEXTURE[~STRENGTH]][#RRGGBB[~SHARE]][@below-nose|@chin]. One named twice is drawn
    twice."""
    textures: str | None = None
    """Folder (or URI) with your own pictures (JPEG, PNG, WebP), which masks of the look cloth:own are made of; null:
    off."""
    seed: int = 0
    """Decides who wears them, and what a look leaves open."""

    def __post_init__(self) -> None:
        check_looks(self.masks, self.textures)
        if self.seed < 0:
            raise ConfigError(f"seed must be 0 or more, not {self.seed}")


def main() -> None:
    config = parse(LooksConfig, __doc__)
    from raymask.data.prepare.textures import load_textures
    from raymask.demo_faces.look_sheet import draw_look_sheet

    textures = load_textures(config.textures)
    folder, name = folder_and_name(config.out)
    folder.write(name, draw_look_sheet(config.masks, seed=config.seed, textures=textures))
    print(f"look at {config.out}")


if __name__ == "__main__":
    run(main)
