"""Decoding in threads, and whether one of them hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np

from raymask.errors import ImageError
from raymask.faces.images import decode_photo

PATIENCE = 30.0
"""Seconds after which a decoding counts as stuck: a photo takes 2 of a core at most, and shares it with few others."""


class Decoding:
    """Decodes photos, and knows since when."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: dict[object, float] = {}

    async def photo(self, data: bytes, *, max_pixels: int) -> np.ndarray:
        """As `decode_photo`, which it calls in a thread. Raises ImageError if there is no data, too."""
        if not data:
            raise ImageError("the photo is empty; send a JPEG, PNG or WebP file")
        return await asyncio.to_thread(self._decode, data, max_pixels)

    def _decode(self, data: bytes, max_pixels: int) -> np.ndarray:
        this = object()
        self._begun[this] = self._clock()  # now, for it may have waited for a thread
        try:
            return decode_photo(data, "the photo", max_pixels=max_pixels)
        finally:
            del self._begun[this]

    @property
    def stuck(self) -> bool:
        """Whether a photo has been decoded for more than PATIENCE."""
        return any(self._clock() - begun > PATIENCE for begun in list(self._begun.values()))  # threads change it
