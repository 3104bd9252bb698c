"""The work of each stage, without Ray: what a replica does with what it is given, and what a plain process would do.

Photos are (H, W, 3) uint8 RGB and read-only; F faces of a photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from raymask.errors import ConfigError
from raymask.faces import Face
from raymask.faces.crop import Square
from raymask.faces.detection.detector import FaceDetector
from raymask.faces.face import overlap
from raymask.models.bundle import load_bundle
from raymask.models.fusion import Fusion
from raymask.models.unmasker import MaskFinder, MaskRemover, Unmasked, is_mask
from raymask.plugins import allow
from raymask.recognisers.base import SubjectRecogniser, unit_rows
from raymask.recognisers.kinds import load_recogniser
from raymask.serve.core.plan import Network

SAME_FACE = 0.3
"""Intersection over union of two boxes from which they are of one face, found before and after its mask was taken off.
The inpainter leaves eyes and outline where they are, so a face found again overlaps by far more."""


class MaskFound(NamedTuple):
    """What the segmenter says of a face."""

    mask_map: np.ndarray
    """(C, C) uint8 of its crop, 255 where a mask covers it."""
    coverage: float
    """Share of the crop that is covered, 0 to 1."""
    masked: bool
    """Whether that is a mask."""


class Detector:
    """Finds faces."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        """Raises ModelError if its model is missing or damaged."""
        self._detector = FaceDetector(name, device=device)

    def __call__(self, photo: np.ndarray) -> list[Face]:
        """All faces, surest first."""
        return self._detector(np.ascontiguousarray(photo))


class Segmenter:
    """Finds masks."""

    def __init__(self, network: Network, device: str = "cpu") -> None:
        """Raises ModelError if the bundle is missing, damaged, of another kind, or holds other weights."""
        self._finder = MaskFinder.load(network.folder)
        network.check()
        self._finder.segmenter.to(device)

    def __call__(self, photo: np.ndarray, boxes: np.ndarray) -> list[MaskFound]:
        """For each of (F, 4) boxes."""
        return self.together([(photo, boxes)])[0]

    def together(self, asked: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[list[MaskFound]]:
        """Several photos and their boxes in one pass of the network."""
        crops = [Square.around(box).cut(photo) for photo, boxes in asked for box in boxes]
        found = [
            MaskFound(one, float((one > 0).mean()), is_mask(one)) for one in self._finder.find_all(np.stack(crops))
        ]
        return _split(found, [len(boxes) for _, boxes in asked])


class Inpainter:
    """Takes masks off."""

    def __init__(self, network: Network, device: str = "cpu") -> None:
        """Raises ModelError as `Segmenter`."""
        self._remover = MaskRemover.load(network.folder)
        network.check()
        self._remover.inpainter.to(device)

    def __call__(self, photo: np.ndarray, boxes: np.ndarray, mask_maps: Sequence[np.ndarray]) -> np.ndarray:
        """The photo without these faces' masks."""
        return self.together([(photo, boxes, mask_maps)])[0]

    def together(self, asked: Sequence[tuple[np.ndarray, np.ndarray, Sequence[np.ndarray]]]) -> list[np.ndarray]:
        """Several photos, their boxes and maps in one pass of the network."""
        faces = [
            (photo, box, mask_map)
            for photo, boxes, mask_maps in asked
            for box, mask_map in zip(boxes, mask_maps, strict=True)
        ]
        results = _split(self._remover.remove_all(faces), [len(boxes) for _, boxes, _ in asked])
        return [_without(photo, boxes, removed) for (photo, boxes, _), removed in zip(asked, results, strict=True)]


def _without(photo: np.ndarray, boxes: np.ndarray, removed: Sequence[Unmasked]) -> np.ndarray:
    """A photo with the painted faces in it."""
    for box, face in zip(boxes, removed, strict=True):
        photo = Square.around(box).put_back(photo, face.filled, face.hole_map)
    return photo


class Embedder:
    """Embeds faces with one network or several."""

    def __init__(self, networks: Sequence[Network], device: str = "cpu", own: Sequence[str] = ()) -> None:
        """`own`: as `Plan.own`. Raises ModelError if a file is missing, damaged, or holds other weights."""
        allow(own)
        self._networks = [_face_network(network, device) for network in networks]

    def __call__(self, photo: np.ndarray, faces: Sequence[Face]) -> list[np.ndarray]:
        """(F, D) float32 of each network, rows of length 1."""
        return self.together([(photo, faces)])[0]

    def together(self, asked: Sequence[tuple[np.ndarray, Sequence[Face]]]) -> list[list[np.ndarray]]:
        """Several photos and their faces in one pass of each network."""
        counts = [len(faces) for _, faces in asked]
        by_network = []
        for network in self._networks:
            cuts = [network.cut(np.ascontiguousarray(photo), face) for photo, faces in asked for face in faces]
            by_network.append(_split(unit_rows(network.embed_cut(np.stack(cuts))), counts))
        return [list(rows) for rows in zip(*by_network, strict=True)] if by_network else [[] for _ in asked]


class Fuser:
    """Makes one embedding of those of all networks."""

    def __init__(self, fused: Network) -> None:
        """Raises ModelError if the fusion is missing, damaged, or another by now."""
        model = load_bundle(fused.folder, "Fusion").model
        fused.check()
        assert isinstance(model, Fusion)
        self._fusion = model

    def __call__(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """P parts (F, D_p) in the fusion's order to (F, sum of D_p), rows of length 1."""
        import torch

        with torch.inference_mode():
            return self._fusion([torch.from_numpy(np.array(part)) for part in parts]).numpy()


def same_face(box: np.ndarray, faces: Sequence[Face]) -> Face | None:
    """The face that overlaps most with a box, if it is the same; None if none is."""
    overlaps = [(overlap(box, face.box), place) for place, face in enumerate(faces)]
    most, place = max(overlaps, default=(0.0, 0))
    return faces[place] if most >= SAME_FACE else None


def _split(rows: Any, counts: Sequence[int]) -> list[Any]:
    """Rows in groups of so many each."""
    ends = np.cumsum(counts).tolist()
    return [rows[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _face_network(network: Network, device: str) -> SubjectRecogniser:
    recogniser = load_recogniser(network.spec)
    network.check()
    if not isinstance(recogniser, SubjectRecogniser):
        raise ConfigError(
            f"embedder {network.spec!r} is not a network on faces; name sface, dlib, onnx:FILE, bundle:DIR or an "
            "embedder of aligned faces of your own"
        )
    recogniser.to_device(device)
    return recogniser
