"""`routed:MASKED,BARE`: one network for masked faces and another for bare ones, in one space.

The network for masked faces has learned to embed them where the other puts the same person's bare face. So a bare face
costs nothing of what was learned about masks, and the embeddings of both can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raymask.errors import ConfigError
from raymask.faces.crop import Square
from raymask.models.shipped import SHIPPED
from raymask.models.spec import RoutedParts
from raymask.models.unmasker import MaskFinder, is_mask
from raymask.recognisers.base import SubjectRecogniser
from raymask.recognisers.face_finder import shared_finder
from raymask.recognisers.kinds import load_recogniser


class RoutedRecogniser:
    """Asks one of two networks, as the segmenter that comes with raymask says of the face."""

    def __init__(self, parts: str) -> None:
        """Raises ConfigError for another form or networks of two sizes, ModelError for a file that is missing."""
        named = RoutedParts.of(f"routed:{parts}")
        self.masked, self.bare = _on_faces(named.masked), _on_faces(named.bare)
        if self.masked.size != self.bare.size:
            raise ConfigError(
                f"{named}: embeddings of {self.masked.size} and of {self.bare.size} values are not of one space; name "
                "two networks of one"
            )
        self._finder = MaskFinder.load(SHIPPED / "segmenter")

    def embed(self, photos: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Embed the subject of each photo, as `raymask.evaluate.Recogniser` says."""
        masked = np.array([self.wears_mask(photo) for photo in photos], dtype=bool)
        embeddings, found = np.zeros((len(photos), self.bare.size), np.float32), np.zeros(len(photos), dtype=bool)
        for recogniser, wanted in ((self.masked, masked), (self.bare, ~masked)):
            rows = np.flatnonzero(wanted).tolist()
            if rows:
                embeddings[rows], found[rows] = recogniser.embed([photos[row] for row in rows])
        return embeddings, found

    def wears_mask(self, photo: np.ndarray) -> bool:
        """Whether the subject of a photo wears a mask; False where no face is found."""
        face = shared_finder()(photo)
        return face is not None and is_mask(self._finder.find(Square.around(face.box).cut(photo)))


def _on_faces(name: str) -> SubjectRecogniser:
    """A network by name. Raises ConfigError for one of others that embeds whole photos."""
    loaded = load_recogniser(name)
    if not isinstance(loaded, SubjectRecogniser):
        raise ConfigError(f"{name} embeds whole photos; a part of routed: needs a method embed_aligned(faces)")
    return loaded
