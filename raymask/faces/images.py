"""Bytes to photos and back: the only place where files of pictures are decoded or encoded."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from raymask.errors import ImageError, TooLargeError
from raymask.faces.photo_files import picture_file

warnings.filterwarnings("ignore", module=r"PIL\.")  # once: who silences it a call at a time is heard by other threads

MIN_SIDE = 24
"""Pixels; photos with a shorter side are refused, for no face in them could be told from another."""

MAX_PIXELS = 64_000_000
"""Pixels; larger photos are refused before they are decoded, for a small file can claim any size."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a photo upright, by its orientation in EXIF."""


def decode_photo(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a JPEG, PNG or WebP file to an upright RGB photo.

    Grey, CMYK, palette and 16-bit pictures become RGB, transparency becomes white, EXIF orientation is applied.

    Args:
        data: the file's bytes.
        name: what errors call the file.
        max_pixels: larger photos are refused before they are decoded.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: not an image, truncated, under MIN_SIDE on a side, or made to be decoded for long.
        TooLargeError: over `max_pixels`.
    """
    try:
        picture = picture_file(data, name)
        image: Image.Image = Image.open(io.BytesIO(picture.data), formats=("JPEG", "PNG", "WEBP"))
        _check_size(image.size, name, max_pixels)
        picture.check(image.width * image.height, name)
        image = _to_rgb(image)
        turn = _TURNS.get(picture.orientation)
        return np.array(image if turn is None else image.transpose(turn))
    except Image.DecompressionBombError:
        raise TooLargeError(f"{name}: over {max_pixels / 1e6:.0f} megapixels; scale the photo down") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not a JPEG, PNG or WebP image; convert it or remove it") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds on damaged files
        raise ImageError(f"{name}: damaged image ({error}); fetch or export it again") from None


def media_type(data: bytes) -> str:
    """What HTTP calls a file that `decode_photo` takes: image/jpeg, image/png or image/webp."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    return "image/webp" if data.startswith(b"RIFF") else "image/jpeg"


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise ImageError(f"{name}: {width}x{height} pixels is too small for a face; use a larger photo")
    if width * height > max_pixels:
        raise TooLargeError(
            f"{name}: {width}x{height} is {width * height / 1e6:.0f} megapixels, over the limit of "
            f"{max_pixels / 1e6:.0f}; scale the photo down"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip it to white instead of scaling it
        return Image.fromarray((np.asarray(image, dtype=np.float64) / 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def encode_jpeg(photo: np.ndarray, quality: int = 95) -> bytes:
    """(H, W, 3) uint8 RGB to JPEG bytes; `quality` 1 to 100."""
    import cv2

    bgr = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def encode_png(image: np.ndarray) -> bytes:
    """(H, W) or (H, W, 3) uint8 to PNG bytes."""
    import cv2

    if image.ndim == 2:
        return cv2.imencode(".png", image)[1].tobytes()
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes()
