"""Every kind by name. A new kind is one more `MaskKind` here."""

from raymask.faces.masks.kinds.cloth import CLOTH
from raymask.faces.masks.kinds.hand import HAND
from raymask.faces.masks.kinds.kn95 import KN95
from raymask.faces.masks.kinds.mask_kind import MaskKind
from raymask.faces.masks.kinds.n95 import N95, N95VALVE
from raymask.faces.masks.kinds.respirator import RESPIRATOR
from raymask.faces.masks.kinds.sponge import SPONGE
from raymask.faces.masks.kinds.surgical import SURGICAL

REGISTRY: dict[str, MaskKind] = {
    kind.name: kind for kind in (SURGICAL, N95, KN95, CLOTH, N95VALVE, SPONGE, RESPIRATOR, HAND)
}
"""In the order in which looks are listed; draws do not depend on it."""
