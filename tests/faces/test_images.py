import io

import numpy as np
import pytest
from PIL import Image

from raymask.errors import ImageError
from raymask.faces.images import decode_photo, encode_jpeg, encode_png, media_type


def file_of(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


COLOUR = Image.fromarray(np.arange(60 * 40 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 40, 3))


def test_png_comes_back_as_it_was():
    np.testing.assert_array_equal(decode_photo(file_of(COLOUR), "a.png"), np.asarray(COLOUR))


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode):
    grey = COLOUR.convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey, dtype=np.uint16) * 257)
    else:
        image = (grey if mode in ("L", "1", "LA") else COLOUR).convert(mode)
    data = file_of(image, "JPEG", quality=100) if mode == "CMYK" else file_of(image)
    photo = decode_photo(data, "a")
    assert photo.shape == (60, 40, 3)
    assert photo.dtype == np.uint8
    if mode in ("L", "LA", "I;16"):
        np.testing.assert_array_equal(photo, np.asarray(grey)[:, :, None].repeat(3, axis=2))
    if mode == "RGBA":
        np.testing.assert_array_equal(photo, np.asarray(COLOUR))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_files_type_is_told_by_its_bytes(kind):
    assert media_type(file_of(COLOUR, kind)) == f"image/{kind.lower()}"


def test_transparent_parts_become_white():
    clear = Image.new("RGBA", (30, 30), (200, 0, 0, 0))
    assert (decode_photo(file_of(clear), "a.png") == 255).all()


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    data = file_of(COLOUR, "JPEG", exif=exif, quality=100)
    assert decode_photo(data, "a.jpg").shape == (40, 60, 3)


JPEG = file_of(Image.new("RGB", (200, 200), "red").effect_spread(50), "JPEG")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a JPEG, PNG or WebP"),
        (b"hello, I am text" * 10, "not a JPEG, PNG or WebP"),
        (JPEG[: len(JPEG) // 2], "damaged image"),
        (file_of(Image.new("RGB", (1, 1))), "1x1 pixels is too small"),
        (file_of(Image.new("RGB", (500, 10))), "500x10 pixels is too small"),
        (file_of(Image.new("1", (12_000, 12_000))), "12000x12000 is 144 megapixels, over the limit"),
        (file_of(Image.new("1", (20_000, 20_000))), "over 64 megapixels"),
        (file_of(COLOUR, "GIF"), "not a JPEG, PNG or WebP"),
    ],
    ids=["empty", "text", "truncated", "1x1", "thin", "12000x12000", "bomb", "gif"],
)
def test_unreadable_files_are_named_with_the_way_out(data, message):
    with pytest.raises(ImageError, match=message) as error:
        decode_photo(data, "some/photo.jpg")
    assert str(error.value).startswith("some/photo.jpg: ")


def test_encoders_keep_the_picture():
    pixels = np.full((32, 32, 3), 90, np.uint8)
    np.testing.assert_array_equal(decode_photo(encode_png(pixels), "a"), pixels)
    assert np.abs(decode_photo(encode_jpeg(pixels), "a").astype(int) - 90).max() <= 2
