"""Recognisers in ONNX files: networks on faces aligned to ArcFace's template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from raymask.errors import ModelError
from raymask.faces import Face
from raymask.faces.alignment import ARCFACE_SIZE, align
from raymask.models.networks.backbones import IMAGE_MEAN, IMAGE_STD
from raymask.recognisers.base import SubjectRecogniser


class OnnxRecogniser(SubjectRecogniser):
    """An embedder of (B, 3, 112, 112) float RGB with ImageNet's mean and deviation; the flipped face is averaged in."""

    def __init__(self, file: str) -> None:
        """Raises ModelError if the file is missing, damaged or takes or gives something else."""
        import onnxruntime
        import torch

        if not Path(file).is_file():
            raise ModelError(f"onnx:{file}: there is no such file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()  # the caller's one setting for all networks
        try:
            self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no public base
            raise ModelError(f"onnx:{file} cannot be loaded ({str(error).splitlines()[0][:200]})") from None
        self._input, self.size, self._one_by_one = check_shapes(
            file, self._session.get_inputs(), self._session.get_outputs()
        )

    def cut(self, photo: np.ndarray, face: Face) -> np.ndarray:
        """The aligned face, (112, 112, 3) uint8."""
        return align(photo, face.points)

    def embed_cut(self, faces: np.ndarray) -> np.ndarray:
        """(N, 112, 112, 3) uint8 to (N, D)."""
        mean, deviation = np.array(IMAGE_MEAN, np.float32), np.array(IMAGE_STD, np.float32)
        scaled = (faces.astype(np.float32) / 255 - mean) / deviation
        upright = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
        return self._run(upright) + self._run(np.ascontiguousarray(upright[..., ::-1]))

    def _run(self, batch: np.ndarray) -> np.ndarray:
        parts = np.split(batch, len(batch)) if self._one_by_one else [batch]
        return np.concatenate([self._session.run(None, {self._input: part})[0] for part in parts])


def check_shapes(file: str, inputs: list[Any], outputs: list[Any]) -> tuple[str, int, bool]:
    """The input's name, the embedding's size, and whether the batch is fixed to one photo.

    Raises:
        ModelError: the network does not take aligned faces or does not give embeddings; says what it has instead.
    """
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"onnx:{file} has {len(inputs)} inputs and {len(outputs)} outputs; it takes one of each")
    taken, given = inputs[0], outputs[0]
    if taken.type != "tensor(float)" or list(taken.shape[1:]) != [3, ARCFACE_SIZE, ARCFACE_SIZE]:
        raise ModelError(
            f"onnx:{file} takes {taken.type} {taken.shape}; aligned faces are tensor(float) "
            f"[N, 3, {ARCFACE_SIZE}, {ARCFACE_SIZE}]"
        )
    if given.type != "tensor(float)" or len(given.shape) != 2 or not isinstance(given.shape[1], int):
        raise ModelError(f"onnx:{file} gives {given.type} {given.shape}; embeddings are tensor(float) [N, D]")
    batch = taken.shape[0]
    if isinstance(batch, int) and batch != 1:
        raise ModelError(f"onnx:{file} takes exactly {batch} photos at a time; export it for 1 or for any number")
    return taken.name, given.shape[1], batch == 1
