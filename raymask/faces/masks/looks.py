"""The looks a mask can have: kinds, textures and colours, which of them training may draw, and the draw by seed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raymask.errors import ConfigError
from raymask.faces.masks.own import Picture, Rgb, Textures
from raymask.faces.masks.pick import pick

Palette = tuple[Rgb, Rgb, Rgb]  # ground, first and second pattern colour, as seen on a normally exposed photo


def _tints(*grounds: Rgb) -> tuple[Palette, ...]:
    """Palettes of a fabric of one colour: the pattern colours are a little darker and lighter than the ground."""
    palettes = []
    for r, g, b in grounds:
        darker = (int(r * 0.86), int(g * 0.86), int(b * 0.86))
        lighter = (min(r + 14, 255), min(g + 14, 255), min(b + 14, 255))
        palettes.append(((r, g, b), darker, lighter))
    return tuple(palettes)


Wardrobe = dict[str, dict[str, tuple[Palette, ...]]]  # kind -> texture -> palettes

_TRAIN: Wardrobe = {
    "surgical": {
        "spunbond": _tints((142, 186, 214), (233, 236, 238), (158, 206, 196), (116, 164, 205)),
        "crepe": _tints((174, 208, 226), (240, 240, 236), (132, 194, 178), (96, 148, 192)),
    },
    "n95": {
        "felt": _tints((238, 238, 234), (228, 230, 231), (242, 238, 228)),
        "ribbed": _tints((236, 237, 239), (196, 214, 226), (224, 222, 214)),
    },
    "kn95": {
        "pressed": _tints((240, 241, 241), (36, 37, 40), (150, 153, 158), (232, 233, 229)),
        "panel": (
            ((236, 236, 235), (206, 208, 210), (244, 244, 244)),
            ((44, 44, 47), (66, 67, 71), (34, 34, 36)),
            ((178, 192, 206), (232, 234, 236), (190, 204, 216)),
        ),
    },
    "cloth": {
        "plain": _tints((32, 33, 38), (44, 58, 98), (150, 40, 46), (208, 200, 184), (92, 104, 88), (226, 226, 224)),
        "gingham": (
            ((240, 240, 236), (196, 62, 66), (176, 40, 46)),
            ((238, 240, 240), (74, 106, 168), (52, 82, 146)),
            ((238, 238, 234), (62, 62, 66), (36, 36, 40)),
        ),
        "stripes": (
            ((232, 232, 226), (48, 66, 110), (160, 46, 52)),
            ((54, 56, 64), (190, 190, 186), (120, 124, 130)),
            ((212, 178, 90), (86, 66, 46), (236, 226, 200)),
        ),
        "polka": (
            ((52, 62, 108), (236, 236, 232), (236, 236, 232)),
            ((178, 48, 58), (242, 240, 236), (242, 240, 236)),
            ((234, 230, 220), (70, 72, 76), (150, 60, 70)),
        ),
        "floral": (
            ((228, 222, 210), (188, 82, 96), (92, 122, 84)),
            ((46, 54, 82), (222, 164, 160), (118, 142, 112)),
            ((170, 196, 204), (234, 232, 224), (196, 96, 84)),
        ),
        "camouflage": (
            ((112, 112, 78), (66, 76, 50), (52, 44, 34)),
            ((184, 168, 132), (136, 116, 84), (96, 82, 62)),
            ((142, 146, 148), (94, 98, 102), (52, 54, 58)),
        ),
        "denim": _tints((62, 84, 122), (88, 116, 156), (40, 50, 70)),
        "heather": _tints((128, 130, 134), (88, 92, 112), (158, 120, 122)),
    },
    "n95valve": {
        "felt": _tints((238, 238, 234), (228, 230, 231), (242, 238, 228)),
        "ribbed": _tints((236, 237, 239), (196, 214, 226), (224, 222, 214)),
    },
    "sponge": {
        "foam": _tints((30, 30, 32), (58, 59, 63), (36, 44, 66), (196, 150, 150), (222, 216, 206)),
    },
    "respirator": {
        "rubber": (
            ((52, 54, 58), (84, 88, 94), (196, 66, 60)),
            ((92, 98, 106), (206, 208, 206), (172, 60, 108)),
            ((38, 40, 44), (62, 64, 68), (222, 190, 70)),
        ),
    },
    "hand": {"skin": (((205, 160, 135), (176, 128, 104), (222, 178, 160)),)},
}

_TEST: Wardrobe = {
    "surgical": {
        "diamond": _tints((226, 172, 190), (40, 42, 46), (190, 178, 214), (222, 216, 168)),
    },
    "n95": {
        "honeycomb": _tints((206, 208, 206), (178, 198, 186), (214, 204, 188)),
    },
    "kn95": {
        "linen": _tints((218, 196, 198), (188, 206, 190), (86, 96, 122), (222, 218, 226)),
    },
    "cloth": {
        "tartan": (
            ((142, 32, 38), (30, 46, 40), (222, 196, 104)),
            ((38, 62, 74), (22, 28, 42), (196, 200, 196)),
        ),
        "tiedye": (
            ((232, 108, 120), (92, 150, 206), (240, 208, 96)),
            ((70, 84, 160), (220, 228, 238), (128, 74, 150)),
        ),
        "chevron": (
            ((224, 228, 222), (52, 132, 132), (214, 128, 70)),
            ((72, 70, 78), (206, 170, 60), (224, 222, 214)),
        ),
        "logo": (
            ((28, 30, 34), (228, 228, 230), (204, 54, 48)),
            ((230, 231, 226), (34, 70, 140), (214, 52, 56)),
            ((104, 34, 52), (236, 218, 150), (236, 218, 150)),
        ),
        "leopard": (
            ((204, 166, 114), (48, 36, 28), (150, 102, 60)),
            ((198, 196, 196), (44, 44, 48), (122, 120, 122)),
        ),
    },
}

KINDS: tuple[str, ...] = tuple(_TRAIN)
"""What can be before a face. All are masks but `hand`, a hand over the mouth."""

Worn = Literal["", "below-nose", "chin"]
WORN: tuple[Worn, ...] = ("below-nose", "chin")
"""How a mask can be worn wrongly: the nose out, or pulled down under the lips."""


def _names(wardrobe: Wardrobe) -> tuple[str, ...]:
    return tuple(f"{kind}:{texture}" for kind, textures in wardrobe.items() for texture in textures if kind != "hand")


TRAIN_LOOKS: tuple[str, ...] = (*_names(_TRAIN), "surgical@below-nose", "kn95@below-nose", "cloth@below-nose")
"""Looks that training draws: all cover the mouth, nearly all the nose too."""
TEST_LOOKS: tuple[str, ...] = _names(_TEST)
"""Looks of other textures and colours, for people whom training has not seen either."""
UNCOVERED_LOOKS: tuple[str, ...] = ("surgical@chin", "n95@chin", "kn95@chin", "cloth@chin", "sponge@chin", "hand")
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
        return self.kind != "hand"

    @property
    def covers(self) -> bool:
        """Whether it is a mask that covers the mouth, and with it the person's face."""
        return self.is_mask and self.worn != "chin"


@dataclass(frozen=True)
class Wear:
    """One mask as worn: everything a look leaves open, fixed by the seed. Lengths are in half face widths."""

    kind: str
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
    kind = re.split("[:#@~]", name, maxsplit=1)[0]
    if kind not in KINDS:
        raise ConfigError(f"Unknown mask kind {kind!r} in look {name!r}; the kinds are {', '.join(KINDS)}.")
    found = _LOOK.fullmatch(name)
    if found is None:
        raise ConfigError(f"Look {name!r} must be of the form {FORM}.")
    texture = found["texture"]
    if kind == "hand" and name not in ("hand", "hand:skin"):
        raise ConfigError(f"Look {name!r}: a hand has the colour of its face, and is worn one way.")
    known = (*_TRAIN[kind], *_TEST.get(kind, {}), *((OWN,) if kind == "cloth" else ()))
    if texture is not None and texture not in known:
        raise ConfigError(
            f"Unknown texture {texture!r} in look {name!r}; the textures of {kind} are {', '.join(known)}."
        )
    worn = found["worn"]
    if worn is not None and (worn not in WORN or kind == "respirator"):
        raise ConfigError(
            f"A {kind} cannot be worn {worn!r} in look {name!r}; all masks but the respirator can be worn "
            f"{' or '.join(WORN)}."
        )
    colour = found["colour"]
    if texture == OWN and (found["pattern"] is not None or colour is not None):
        raise ConfigError(f"Look {name!r}: your own pictures keep their colours; leave out ~ and #, as in cloth:own.")
    return Look(
        name,
        kind,
        tuple(_TRAIN[kind]) if texture is None else (texture,),
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


def palettes(kind: str, texture: str) -> tuple[Palette, ...]:
    """The palettes in which `kind` is made of `texture`."""
    return _TRAIN[kind].get(texture) or _TEST[kind][texture]


def _dyed(palette: Palette, look: Look) -> Palette:
    """The palette with the look's colour and strength of pattern."""
    ground = palette[0]
    if look.colour is not None:
        dyed = _mixed(ground, look.colour, look.colour_weight)
        palette = _tints(dyed)[0] if palette == _tints(ground)[0] else (dyed, *palette[1:])
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
    texture = pick(f"{look.kind}/{seed}/texture", look.textures)
    picture, drawing = None, f"{look.kind}:{texture}"
    if look.own:
        if textures is None:
            raise ConfigError(f"Look {look.name!r} needs textures: your own pictures.")
        picture = textures.picked(f"{drawing}/{seed}")
        drawing = f"{drawing}/{picture.name}"
        palette = (picture.mean,) * 3
    else:
        palette = _dyed(_pick_palette(f"{drawing}/{seed}/palette", palettes(look.kind, texture)), look)
    rng = np.random.default_rng([int(seed), zlib.crc32(drawing.encode())])
    brightness = rng.uniform(0.93, 1.04)
    r, g, b = brightness * rng.uniform(0.97, 1.03, 3)
    return Wear(
        kind=look.kind,
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
