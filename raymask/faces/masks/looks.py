"""The looks a mask can have: their names, which of them training may draw, and the draw by seed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from raymask.errors import ConfigError
from raymask.faces.masks.kinds.mask_kind import MaskKind, Palette, Rgb, Worn, tints
from raymask.faces.masks.kinds.registry import REGISTRY
from raymask.faces.masks.own import Picture, Textures
from raymask.faces.masks.pick import pick

KINDS: tuple[str, ...] = tuple(REGISTRY)
"""What can be before a face. All are masks but `hand`, a hand over the mouth."""


def _named(textures: Callable[[MaskKind], Iterable[str]]) -> tuple[str, ...]:
    """The looks of all masks in some of their textures."""
    return tuple(f"{kind.name}:{texture}" for kind in REGISTRY.values() if kind.is_mask for texture in textures(kind))


def _worn(worn: Worn) -> tuple[str, ...]:
    """The looks of all masks that are often worn so."""
    return tuple(f"{kind.name}@{worn}" for kind in REGISTRY.values() if worn in kind.often_worn)


TRAIN_LOOKS: tuple[str, ...] = (*_named(lambda kind: kind.textures), *_worn("below-nose"))
"""Looks that training draws: all cover the mouth, nearly all the nose too."""
TEST_LOOKS: tuple[str, ...] = _named(lambda kind: kind.test_textures)
"""Looks of other textures and colours, for people whom training has not seen either."""
UNCOVERED_LOOKS: tuple[str, ...] = (
    *_worn("chin"),
    *(kind.name for kind in REGISTRY.values() if not kind.is_mask),
)
"""Looks that are no mask over mouth and nose, for who has to tell them from one."""

OWN = "own"
"""The texture of `cloth:own`: one of the user's own pictures."""

VARIANTS = 4  # drawings kept of each texture and of each kind's wrinkles; mirroring doubles both
_VARIANTS = tuple(str(number) for number in range(VARIANTS))


@dataclass(frozen=True)
class Look:
    """What a look name allows: one kind, and the textures a seed picks from (one if the name forces it)."""

    name: str
    kind: str
    textures: tuple[str, ...]
    pattern: float = 1.0
    """How strongly the texture's colours stand out, 0 to 1."""
    colour: Rgb | None = None
    """Of the fabric; None: one of the texture's own."""
    colour_weight: float = 1.0
    """How much of that colour it takes, 0 to 1."""
    worn: Worn = ""

    @property
    def own(self) -> bool:
        """Whether it is made of a user's own pictures."""
        return self.textures == (OWN,)

    @property
    def is_mask(self) -> bool:
        """Whether it is a mask at all."""
        return REGISTRY[self.kind].is_mask

    @property
    def covers(self) -> bool:
        """Whether it is a mask that covers the mouth, and with it the person's face."""
        return self.is_mask and self.worn != "chin"


@dataclass(frozen=True)
class Wear:
    """One mask as worn: everything a look leaves open, fixed by the seed. Lengths are in half face widths."""

    kind: MaskKind
    texture: str
    palette: Palette
    variant: int  # which drawing of the texture, 0..VARIANTS-1
    creases: int  # which set of wrinkles, 0..VARIANTS-1
    flip_texture: bool
    flip_creases: bool
    tint: tuple[float, float, float]  # factors on the colours, about 1: dye and washing
    widen: float  # factor on the mask's width
    raise_by: float  # upwards is negative
    stretch: float  # factor on the mask's height
    tilt: float  # how much lower the right corner sits than the left
    grain_seed: int
    worn: Worn = ""
    picture: Picture | None = None  # the user's own, whose colours count instead of the palette's


_LOOK = re.compile(
    r"(?P<kind>[^:#@~]*)(:(?P<texture>[^:#@~]*)(~(?P<pattern>[\d.]+))?)?"
    r"(#(?P<colour>[0-9A-Fa-f]{6})(~(?P<weight>[\d.]+))?)?(@(?P<worn>[^:#@~]*))?"
)
FORM = "KIND[:TEXTURE[~STRENGTH]][#RRGGBB[~SHARE]][@below-nose|@chin]"
"""Of a look's name. `cloth` is of any training texture, `cloth:gingham` of that one, `~0.5` with its pattern half as
strong, `#aa2233` dyed, `~0.5` half so, `@chin` pulled down. `cloth:own` is of the user's own pictures, in their own
colours."""


def parse_look(name: str) -> Look:
    """The look called `name`, in FORM: such as "cloth", "cloth:gingham~0.5#2244aa" or "surgical@chin".

    Raises ConfigError naming what is unknown in it and listing what is valid.
    """
    first = re.split("[:#@~]", name, maxsplit=1)[0]
    if first not in REGISTRY:
        raise ConfigError(f"Unknown mask kind {first!r} in look {name!r}; the kinds are {', '.join(REGISTRY)}.")
    kind = REGISTRY[first]
    found = _LOOK.fullmatch(name)
    if found is None:
        raise ConfigError(f"Look {name!r} must be of the form {FORM}.")
    texture, worn = found["texture"], found["worn"]
    if kind.skin and name not in (kind.name, *(f"{kind.name}:{texture}" for texture in kind.textures)):
        raise ConfigError(f"Look {name!r}: a {kind.name} has the colour of its face, and is worn one way.")
    known = (*kind.textures, *kind.test_textures, *((OWN,) if kind.own else ()))
    if texture is not None and texture not in known:
        raise ConfigError(
            f"Unknown texture {texture!r} in look {name!r}; the textures of {kind.name} are {', '.join(known)}."
        )
    if worn is not None and worn not in kind.worn:
        ways = f"it can be worn {' or '.join(kind.worn)}" if kind.worn else "it is worn one way"
        raise ConfigError(f"A {kind.name} cannot be worn {worn!r} in look {name!r}; {ways}.")
    colour = found["colour"]
    if texture == OWN and (found["pattern"] is not None or colour is not None):
        raise ConfigError(f"Look {name!r}: your own pictures keep their colours; leave out ~ and #, as in cloth:own.")
    return Look(
        name,
        kind.name,
        tuple(kind.textures) if texture is None else (texture,),
        pattern=_share(found["pattern"], name),
        colour=None if colour is None else (int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:], 16)),
        colour_weight=_share(found["weight"], name),
        worn=worn or "",
    )


def check_looks(masks: Sequence[str], textures: str | None = None) -> None:
    """Raise ConfigError if the field `masks` names no look or an unknown one, or does not go with the field `textures`,
    the folder of the pictures that `cloth:own` is made of."""
    if not masks:
        raise ConfigError("masks must name at least one mask")
    own = [name for name in masks if parse_look(name).own]
    if own and textures is None:
        raise ConfigError(f"masks names {own[0]}, so textures must name the folder of your pictures")
    if textures is not None and not own:
        raise ConfigError("textures has no effect on these masks; name cloth:own among masks, or leave textures out")


def pick_look(masks: Sequence[str], seed: int) -> str:
    """The look that a drawing of this seed takes. One more look in `masks` changes only the draws that fall on it."""
    return pick(f"look/{seed}", masks)


def _share(text: str | None, name: str) -> float:
    try:
        share = 1.0 if text is None else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError(f"~{text} in look {name!r} must be a share, 0 to 1.")
    return share


def _dyed(palette: Palette, look: Look) -> Palette:
    """The palette with the look's colour and strength of pattern."""
    ground = palette[0]
    if look.colour is not None:
        dyed = _mixed(ground, look.colour, look.colour_weight)
        palette = tints(dyed)[0] if palette == tints(ground)[0] else (dyed, *palette[1:])
    ground, first, second = palette
    return ground, _mixed(ground, first, look.pattern), _mixed(ground, second, look.pattern)


def _mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    r, g, b = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return r, g, b


def choose(look: Look, seed: int, textures: Textures | None = None) -> Wear:
    """Everything `look` leaves open, drawn from `seed` (an integer of at least 0) by the names of what there is.

    So another texture, palette or picture changes only the draws that fall on it. `textures`: what `cloth:own` is made
    of. Raises ConfigError for another seed, or where textures are missing.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"The seed of a mask must be an integer of at least 0, not {seed!r}.")
    kind = REGISTRY[look.kind]
    texture = pick(f"{look.kind}/{seed}/texture", look.textures)
    picture, drawing = None, f"{look.kind}:{texture}"
    if look.own:
        if textures is None:
            raise ConfigError(f"Look {look.name!r} needs textures: your own pictures.")
        picture = textures.picked(f"{drawing}/{seed}")
        drawing = f"{drawing}/{picture.name}"
        palette = (picture.mean,) * 3
    else:
        palette = _dyed(_pick_palette(f"{drawing}/{seed}/palette", kind.palettes(texture)), look)
    rng = np.random.default_rng([int(seed), zlib.crc32(drawing.encode())])
    brightness = rng.uniform(0.93, 1.04)
    r, g, b = brightness * rng.uniform(0.97, 1.03, 3)
    return Wear(
        kind=kind,
        texture=texture,
        palette=palette,
        variant=_pick_number(f"{drawing}/{seed}/variant"),
        creases=_pick_number(f"{drawing}/{seed}/creases"),
        flip_texture=bool(rng.integers(2)),
        flip_creases=bool(rng.integers(2)),
        tint=(float(r), float(g), float(b)) if picture is None else (1.0, 1.0, 1.0),
        widen=float(rng.uniform(0.96, 1.03)),
        raise_by=float(rng.uniform(-0.03, 0.05)),
        stretch=float(rng.uniform(0.98, 1.04)),
        tilt=float(rng.normal(0.0, 0.02)),
        grain_seed=int(rng.integers(2**31)),
        worn=look.worn,
        picture=picture,
    )


def _pick_palette(key: str, choices: tuple[Palette, ...]) -> Palette:
    """A palette's name is what its colours are."""
    named = {repr(palette): palette for palette in choices}
    return named[pick(key, tuple(named))]


def _pick_number(key: str) -> int:
    """0 to VARIANTS - 1."""
    return int(pick(key, _VARIANTS))
