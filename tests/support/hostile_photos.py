"""Small files that cost much: scans, segments, chunks and metadata without end."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

ZEROS = zlib.compress(bytes(1 << 20), 9)
"""As much as Pillow unpacks of a text or a profile; of more it calls the photo damaged."""


def photo_file(kind: str = "JPEG", side: int = 100, **options) -> bytes:
    """A picture of colours in any of the kinds."""
    across = np.arange(side, dtype=np.uint8)
    pixels = np.dstack(np.broadcast_arrays(across[None], across[:, None], np.uint8(90)))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def segment(marker: int, body: bytes = b"") -> bytes:
    """Of a JPEG."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(segments: bytes, photo: bytes | None = None) -> bytes:
    """A JPEG that begins with them."""
    photo = photo_file() if photo is None else photo
    return photo[:2] + segments + photo[2:]


def jpeg_of_scans(side: int, scans: int, *, refine: bool = True, width: int | None = None) -> bytes:
    """A grey progressive JPEG whose scans say nothing; those that refine look at every coefficient nevertheless."""
    width = width or side
    blocks = -(-side // 8) * -(-width // 8)
    tables = segment(0xDB, bytes([0]) + bytes([1] * 64)) + segment(
        0xC2, struct.pack(">BHHB", 8, side, width, 1) + b"\1\x11\0"
    )
    for table, symbol in ((0x00, 0x00), (0x10, 0xE0)):  # one code of one bit each: no difference; many blocks are over
        tables += segment(0xC4, bytes([table, 1] + [0] * 15 + [symbol]))
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(blocks // 8) + b"\x7f"
    bits = ""
    for start in range(0, blocks, 32767):
        bits += "0" + format(max(min(32767, blocks - start), 1 << 14) - (1 << 14), "014b")
    bits += "1" * (-len(bits) % 8)
    packed = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
    scan = segment(0xDA, b"\1\1\0\1\x3f" + (b"\x10" if refine else b"\0")) + packed
    return b"\xff\xd8" + tables + first + scan * scans + b"\xff\xd9"


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(chunks: bytes, photo: bytes | None = None) -> bytes:
    """A PNG with them behind its header."""
    photo = photo_file("PNG") if photo is None else photo
    return photo[:33] + chunks + photo[33:]


def plain_png(side: int, *, bits: int, colour: int, channels: int) -> bytes:
    """A PNG of nothing, each row of which needs Paeth's filter."""
    row = b"\4" + bytes(side * channels * bits // 8)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND")


def webp_of_chunks(count: int) -> bytes:
    """A WebP that ends with so many chunks that nobody knows."""
    photo = photo_file("WEBP") + b"none\0\0\0\0" * count
    return photo[:4] + struct.pack("<I", len(photo) - 8) + photo[8:]


def exif_of_faults(entries: int) -> bytes:
    """EXIF each of whose entries claims a gigabyte, of which Pillow warns, with an orientation (6) before them."""
    rows = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    rows += b"".join(struct.pack("<HHII", 0x8000 + number, 2, 1 << 30, 8) for number in range(entries - 1))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + rows + bytes(4)
