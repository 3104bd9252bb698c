"""Recognisers that run on torch: SFace's, dlib's and FaceNet's published networks, and bundles of our own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from raymask.faces import Face
from raymask.faces.crop import Square
from raymask.faces.landmarks.dlib_models import dlib_square
from raymask.recognisers.base import SubjectRecogniser
from raymask.recognisers.remote_bundles import fetched

if TYPE_CHECKING:
    from raymask.models.networks.maskfacenet import MaskFaceNet

BATCH = 32
"""Faces that go through a network at a time."""


class TorchRecogniser(SubjectRecogniser):
    """A torch network that takes (B, 3, S, S)."""

    network: Any
    _device = "cpu"

    def to_device(self, device: str) -> None:
        """Compute on this device, as torch names it."""
        self._device = device
        self.network.to(device)

    def embed_cut(self, faces: np.ndarray) -> np.ndarray:
        """(N, S, S, 3) to (N, D)."""
        import torch

        batches = torch.from_numpy(faces).permute(0, 3, 1, 2).split(BATCH)
        with torch.inference_mode():
            rows = [self.network(batch.contiguous().to(self._device)) for batch in batches]
            return torch.cat(rows).float().cpu().numpy()


class DlibRecogniser(TorchRecogniser):
    """dlib's ResNet on chips of 150 pixels aligned by the 68 landmarks; by torch, which runs it ten times as fast."""

    size = 128

    def __init__(self) -> None:
        from raymask.models.networks.dlib_network import DlibNetwork

        self.network = DlibNetwork.shipped().eval()

    def cut(self, photo: np.ndarray, face: Face) -> np.ndarray:
        """The chip, (150, 150, 3) uint8."""
        import dlib

        parts = [dlib.point(round(float(x)), round(float(y))) for x, y in face.landmarks]
        shape = dlib.full_object_detection(dlib_square(face.box), parts)
        return dlib.get_face_chip(np.ascontiguousarray(photo), shape, size=150, padding=0.25)


class NetworkRecogniser(TorchRecogniser):
    """A MaskFaceNet, on crops or aligned faces as its configuration says."""

    def __init__(self, network: MaskFaceNet, bundle: str = "") -> None:
        """`bundle`: where it was loaded from, if it was. Raises ModelError if the aligner, which aligned faces need, is
        damaged."""
        import torch

        from raymask.models.point_finder import point_finder
        from raymask.models.shipped import aligner_of

        self.network = network.to(memory_format=torch.channels_last)  # a third faster on CPUs
        self.size = network.config.embedding_size
        self._side, alignment = network.config.input_size, network.config.alignment
        self._alignment = None if alignment == "box" else alignment
        self._find_points = None if alignment == "box" else point_finder(aligner_of(bundle))

    def cut(self, photo: np.ndarray, face: Face) -> np.ndarray:
        """The face as the network takes it, (S, S, 3) uint8."""
        from raymask.faces.alignment import align
        from raymask.faces.crop import resize_crop

        if self._find_points is None or self._alignment is None:
            return resize_crop(Square.around(face.box).cut(photo), self._side)
        return align(photo, self._find_points(photo, face.points), self._alignment, self._side)


class BundleRecogniser(NetworkRecogniser):
    """A network that raymask trained."""

    def __init__(self, folder: str) -> None:
        """`folder`: a local folder or a URI. Raises ModelError if the bundle is missing or damaged."""
        from raymask.models import load_bundle

        with tempfile.TemporaryDirectory() as copy:
            network = load_bundle(fetched(folder, Path(copy)), "MaskFaceNet").model
        super().__init__(cast("MaskFaceNet", network), folder)


class FacenetRecogniser(TorchRecogniser):
    """FaceNet's InceptionResnetV1 of facenet-pytorch, on boxes with its margin squeezed to 160 pixels."""

    size = 512
    MARGIN = 14
    """Pixels of the 160, the margin with which facenet-pytorch publishes the weights' accuracy."""

    def __init__(self, weights: str) -> None:
        """`weights`: as `load_facenet` takes them, and raises."""
        from raymask.models.networks.facenet import load_facenet

        self.network = load_facenet(weights)

    def cut(self, photo: np.ndarray, face: Face) -> np.ndarray:
        """The box with its margin, squeezed and standardised, (160, 160, 3) float32 about -1 to 1."""
        from facenet_pytorch.models.utils.detect_face import extract_face

        pixels = extract_face(photo, face.box, image_size=160, margin=self.MARGIN)
        return ((pixels.numpy() - 127.5) / 128).transpose(1, 2, 0).astype(np.float32)
