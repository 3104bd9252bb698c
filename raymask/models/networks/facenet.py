"""FaceNet's InceptionResnetV1 as facenet-pytorch publishes it: where its weights lie, and how they are read."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymask.errors import ModelError

if TYPE_CHECKING:
    from facenet_pytorch import InceptionResnetV1

PUBLISHED = {
    "vggface2": "20180402-114759-vggface2.pt",
    "casia-webface": "20180408-102900-casia-webface.pt",
}
"""Files of weights by the faces that they were trained on."""


def load_facenet(weights: str) -> InceptionResnetV1:
    """The network, in evaluation mode.

    Args:
        weights: a name in PUBLISHED, whose file must lie in torch's cache, or the path of a state dict.

    Raises:
        ModelError: the file is missing or holds other weights. Nothing is ever downloaded.
    """
    from facenet_pytorch import InceptionResnetV1

    path = _file(weights)
    network = InceptionResnetV1(pretrained=None).eval()
    try:
        network.load_state_dict(_read_state(path))
    except RuntimeError as error:
        reason = str(error).split("\n")[1].strip() if "\n" in str(error) else str(error)
        raise ModelError(f"{path} does not hold the weights of an InceptionResnetV1 ({reason[:200]})") from None
    return network


def facenet_digest(weights: str) -> str:
    """SHA-256 of the file that `load_facenet` reads. Raises ModelError if it is missing."""
    return hashlib.sha256(_file(weights).read_bytes()).hexdigest()


def _file(weights: str) -> Path:
    import torch

    if weights not in PUBLISHED:
        if not Path(weights).is_file():
            raise ModelError(f"facenet weights {weights!r}: no such file, and not one of {', '.join(PUBLISHED)}")
        return Path(weights)
    path = Path(torch.hub.get_dir()) / "checkpoints" / PUBLISHED[weights]
    if not path.is_file():
        raise ModelError(
            f"facenet:{weights} needs the file {path}; download {path.name} from the releases of "
            f"github.com/timesler/facenet-pytorch and put it there under that name"
        )
    return path


def _read_state(path: Path) -> dict[str, Any]:
    """The state dict in a file, without the classifier of the people it was trained on."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise ModelError(f"{path} cannot be read as torch weights ({type(error).__name__}); fetch it again") from None
    if not isinstance(state, dict):
        raise ModelError(f"{path} holds a {type(state).__name__}, not a state dict")
    return {name: value for name, value in state.items() if not name.startswith("logits.")}
