"""Files that are made to cost much are refused, or cost nothing; what photos hold beside a picture is no matter."""

import io
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from support.hostile_photos import (
    ZEROS,
    chunk,
    exif_of_faults,
    jpeg_of_scans,
    photo_file,
    plain_png,
    segment,
    webp_of_chunks,
    with_chunks,
    with_segments,
)

from raymask.errors import ImageError
from raymask.faces.images import decode_photo


def oblong(kind: str, **options) -> bytes:
    """A picture of 60 rows and 40 columns."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 60), "red").save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jpeg_of_scans(5000, 300), "a JPEG of 301 scans .* may take .* save it anew"),
        (lambda: jpeg_of_scans(24, 60_000, refine=False), "over 50,000 segments; save the photo anew"),
        (lambda: with_segments(segment(0xE5) * 60_000), "over 50,000 segments"),
        (lambda: with_chunks(chunk(b"prVt") * 60_000), "over 50,000 chunks"),
        (lambda: webp_of_chunks(60_000), "over 50,000 chunks"),
        (lambda: plain_png(7900, bits=16, colour=6, channels=4), "a PNG of 64 bits a pixel .* may take"),
        (lambda: photo_file().replace(b"\xff\xc0", b"\xff\xc9"), "a kind of JPEG that no browser shows"),
    ],
    ids=["scans", "small scans", "segments", "chunks", "WebP chunks", "deep PNG", "arithmetic"],
)
def test_a_file_that_costs_too_much_is_refused_in_a_sentence(make, message):
    with pytest.raises(ImageError, match=f"^some.jpg: .*{message}"):
        decode_photo(make(), "some.jpg")


def test_metadata_costs_nothing():
    bomb = segment(0xE1, b"Exif\0\0" + exif_of_faults(5000)[:65_000])
    files = [with_segments(bomb * 150), with_chunks(chunk(b"iCCP", b"a\0\0" + ZEROS) * 2000)]
    begun = time.process_time()
    shapes = [decode_photo(data, "a").shape for data in files]
    assert time.process_time() - begun < 0.5
    assert shapes == [(100, 100, 3)] * 2


def test_metadata_that_is_damaged_or_large_does_not_keep_a_photo_from_being_read():
    photo = decode_photo(photo_file("PNG"), "a")
    torn = chunk(b"tEXt", b"Title\0sound")[:-1] + b"?"
    large = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2 << 20)))
    for metadata in (torn, large):
        np.testing.assert_array_equal(decode_photo(with_chunks(metadata), "a"), photo)


def test_faults_of_metadata_write_nothing_into_the_log():
    data = with_segments(segment(0xE1, b"Exif\0\0" + exif_of_faults(5000)))
    code = "import sys; from raymask.faces.images import decode_photo; decode_photo(sys.stdin.buffer.read(), 'a')"
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=False)
    assert (done.returncode, len(done.stderr), len(done.stdout)) == (0, 0, 0)


def lying_files() -> dict[str, bytes]:
    """Pictures of 60 rows and 40 columns that are to be turned, by where they say so."""
    exif, xmp = exif_of_faults(2), b'<x tiff:Orientation="6"/>'
    profile = b"\nexif\n      38\n" + (b"Exif\0\0" + exif).hex().encode()
    files = {kind: oblong(kind, exif=b"Exif\0\0" + exif) for kind in ("JPEG", "PNG", "WEBP")}
    files |= {f"{kind} XMP": oblong(kind, xmp=xmp) for kind in ("JPEG", "WEBP")}
    chunks = {
        "PNG XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
        "PNG text": chunk(b"tEXt", b"Raw profile type exif\0" + profile),
        "PNG packed text": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)),
    }
    return files | {name: with_chunks(one, oblong("PNG")) for name, one in chunks.items()}


def test_a_photo_is_turned_by_whatever_says_so():
    shapes = {name: decode_photo(data, "a").shape for name, data in lying_files().items()}
    assert shapes == dict.fromkeys(shapes, (40, 60, 3))


def test_pictures_of_a_phone_are_accepted():
    """Another picture behind the first, and megabytes of metadata."""
    depth = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000)) * 100
    maps = segment(0xE2, b"MPF\0" + bytes(60))
    assert decode_photo(with_segments(depth + maps) + photo_file(), "a").shape == (100, 100, 3)
