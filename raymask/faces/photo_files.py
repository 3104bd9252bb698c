"""Looks at a photo's file before a decoder does: what of it makes the picture, and whether that is decoded soon.

A decoder gets the parts that make the picture, and nothing else: a small file can hold metadata that takes minutes or
gigabytes to read, and thousands of passes over the picture.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple

from raymask.errors import ImageError

MAX_SECONDS = 2.0
"""Of one core for the decoding of a photo, by the costs below, which are the worst that were measured."""
MAX_PARTS = 50_000
"""Segments or chunks of a file, 1 us each; photos have 10 to 12,000, most of them pieces of 8 kB of a PNG."""

_JPEG_PIXEL, _JPEG_COMPONENT, _JPEG_SCANNED = 4.0, 4.0, 0.42
"""ns a pixel, a pixel's component, and a component that a scan goes over: 0.35 to 0.4 where an empty scan refines, else
0.15. The ten scans of a usual progressive JPEG go over 14 components."""
_JPEG_BYTE, _PROGRESSIVE_BYTE = 11.0, 36.0
"""ns a byte of scan data that holds 4 coefficients or 8 corrections."""
_PNG_PIXEL, _PNG_UNPACKED, _PNG_BYTE = 5.0, 3.5, 7.0
"""ns a pixel, a byte of pixels (Paeth's filter), and a byte of the file that deflates to one."""
_WEBP_PIXEL, _WEBP_CLEAR, _WEBP_BYTE, _LOSSLESS_BYTE = 12.0, 22.0, 45.0, 10.0
"""ns a pixel, the same with transparency in addition, and a byte of a file that has lost something or has not."""

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""Where a segment of a JPEG begins: not in scan data, where 0 or a restart follows each 255."""
_PROGRESSIVE, _SCAN, _END, _APP1 = 0xC2, 0xDA, 0xD9, 0xE1
_FRAMES = frozenset({0xC0, 0xC1, _PROGRESSIVE})
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8}
"""Lossless, hierarchical and arithmetic: no camera writes them, and nobody has measured what they cost."""
_KEPT_OF_JPEG = _FRAMES | {0xC4, _SCAN, 0xDB, 0xDC, 0xDD, 0xE0, 0xEE}
"""Frame, tables, scans, height, restarts, and what JFIF and Adobe say of the colours."""
_BARE = frozenset({0x01, 0xD8})
"""Markers without a segment, besides those of restarts."""
_KEPT_OF_PNG = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_KEPT_OF_WEBP = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_OF_PNG = b"XML:com.adobe.xmp\0"
_EXIF_OF_MAGICK = b"Raw profile type exif\0"
_ORIENTATION = 0x0112
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_NUMBERS = {1: "B", 3: "H", 4: "I"}
"""Types of EXIF that an orientation is written in."""


class PictureFile(NamedTuple):
    """What of a file makes its first picture, and what its decoding costs."""

    data: bytes
    """A file of that alone."""
    orientation: int = 1
    """As EXIF has it, 1 to 8; 1: upright."""
    what: str = ""
    """What it is, for who reads why it was refused."""
    pixel_ns: float = 0.0
    """Nanoseconds of a core a pixel, at most."""
    file_ns: float = 0.0
    """Nanoseconds besides, however large the picture is."""

    def check(self, pixels: int, name: str) -> None:
        """Raises ImageError that calls the file `name` if it takes more than MAX_SECONDS to decode so many pixels."""
        seconds = (self.pixel_ns * pixels + self.file_ns) / 1e9
        if seconds > MAX_SECONDS:
            raise ImageError(
                f"{name}: {self.what} and {pixels / 1e6:.0f} megapixels in {len(self.data) / 1e6:.1f} MB may take "
                f"{seconds:.1f} seconds to decode, and {MAX_SECONDS:g} are the limit; save it anew as an ordinary JPEG"
            )


def picture_file(data: bytes, name: str) -> PictureFile:
    """Take the first picture of a JPEG, PNG or WebP file out of it; what is damaged stays so for the decoder to tell.

    Args:
        data: the file's bytes; of other kinds, they come back as they are.
        name: what errors call the file.

    Returns:
        The picture without any metadata, whose `check` is to be asked before it is decoded.

    Raises:
        ImageError: over MAX_PARTS, or a kind of JPEG that no browser shows.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _Jpeg(data, name).picture()
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data, name)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data, name)
    return PictureFile(data)


class _Jpeg:
    """A walk over the segments of the first picture."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name = data, name
        self._kept = [data[:2]]
        self._exif = self._xmp = b""
        self._components = self._scans = self._scanned = self._scan_bytes = self._parts = 0
        self._progressive = False

    def picture(self) -> PictureFile:
        """As `picture_file`."""
        at = 2
        while found := _MARKER.search(self._data, at):
            code, at = self._data[found.end() - 1], found.end()
            if code == _END:
                self._kept.append(found[0])
                break
            if code not in _BARE:
                at = self._segment(code, found.start())
        return PictureFile(
            b"".join(self._kept),
            _orientation(self._exif, self._xmp),
            f"a JPEG of {self._scans:,} scans",
            _JPEG_PIXEL + _JPEG_COMPONENT * self._components + _JPEG_SCANNED * self._scanned,
            self._scan_bytes * (_PROGRESSIVE_BYTE if self._progressive else _JPEG_BYTE),
        )

    def _segment(self, code: int, start: int) -> int:
        """Where what follows it begins."""
        self._parts += 1
        _check_parts(self._parts, self._name, "segments")
        end = start + 2 + int.from_bytes(self._data[start + 2 : start + 4])
        body = self._data[start + 4 : end]
        if code in _OTHER_FRAMES:
            raise ImageError(f"{self._name}: a kind of JPEG that no browser shows; save it anew as an ordinary JPEG")
        if code in _FRAMES and len(body) >= 6:
            self._components = body[5]
            self._progressive |= code == _PROGRESSIVE
        elif code == _SCAN:
            after = _MARKER.search(self._data, end)
            end = after.start() if after else len(self._data)
            self._scans += 1
            self._scanned += body[0] if body else 0
            self._scan_bytes += end - start
        elif code == _APP1 and body.startswith(b"Exif\0\0"):
            self._exif = self._exif or body[6:]
        elif code == _APP1 and body.startswith(_XMP):
            self._xmp = self._xmp or body
        if code in _KEPT_OF_JPEG:
            self._kept.append(self._data[start:end])
        return end


def _png(data: bytes, name: str) -> PictureFile:
    kept, exif, xmp = [data[:8]], b"", b""
    bits = 0
    """Of a pixel."""
    magick = True
    """Whether to look for EXIF where ImageMagick wrote it: once, for it may have to be unpacked."""
    at, parts = 8, 0
    while at + 8 <= len(data):
        parts += 1
        _check_parts(parts, name, "chunks")
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4])
        if kind == b"IHDR" and end <= len(data):
            bits = max(bits, data[at + 16] * _PNG_CHANNELS.get(data[at + 17], 1))
        elif kind == b"eXIf":
            exif = exif or data[at + 8 : end - 4]
        elif kind == b"iTXt" and data.startswith(_XMP_OF_PNG, at + 8):
            xmp = xmp or data[at + 8 : end - 4]
        elif kind in (b"tEXt", b"zTXt") and magick and data.startswith(_EXIF_OF_MAGICK, at + 8):
            exif, magick = exif or _exif_of_magick(kind, data[at + 8 + len(_EXIF_OF_MAGICK) : end - 4]), False
        if kind in _KEPT_OF_PNG:
            kept.append(data[at:end])
        if kind == b"IEND":
            break
        at = end
    picture, what = b"".join(kept), f"a PNG of {bits} bits a pixel"
    pixel = _PNG_PIXEL + _PNG_UNPACKED * bits / 8
    return PictureFile(picture, _orientation(exif, xmp), what, pixel, _PNG_BYTE * len(picture))


def _exif_of_magick(kind: bytes, text: bytes) -> bytes:
    """A line feed, the name, the length and the bytes in hexadecimal; nothing where it is something else."""
    try:
        if kind == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], 1 << 20)
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii")).removeprefix(b"Exif\0\0")
    except (ValueError, zlib.error):
        return b""


def _webp(data: bytes, name: str) -> PictureFile:
    kept, exif, xmp = [], b"", b""
    at, parts, size = 12, 0, 4
    moving = clear = lossless = False
    while at + 8 <= len(data):
        parts += 1
        _check_parts(parts, name, "chunks")
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + length + length % 2
        if kind == b"EXIF":
            exif = exif or data[at + 8 : end].removeprefix(b"Exif\0\0")
        elif kind == b"XMP ":
            xmp = xmp or data[at + 8 : end]
        elif kind in _KEPT_OF_WEBP and not (kind == b"ANMF" and moving):
            kept.append(data[at:end])
            size += end - at
            moving |= kind == b"ANMF"
            clear |= kind in (b"ALPH", b"ANMF") or (kind == b"VP8X" and bool(length and data[at + 8] & 16))
            lossless |= kind == b"VP8L"
        at = end
    header = b"RIFF" + min(size, 0xFFFFFFFE).to_bytes(4, "little") + b"WEBP"
    picture = b"".join([header, *kept])
    pixel, byte = _WEBP_PIXEL + _WEBP_CLEAR * clear, _LOSSLESS_BYTE if lossless else _WEBP_BYTE
    return PictureFile(picture, _orientation(exif, xmp), f"a WebP of {parts:,} chunks", pixel, byte * len(picture))


def _check_parts(parts: int, name: str, what: str) -> None:
    if parts > MAX_PARTS:
        raise ImageError(f"{name}: over {MAX_PARTS:,} {what}; save the photo anew")


def _orientation(exif: bytes, xmp: bytes) -> int:
    """1 to 8, from EXIF (a TIFF file) or XMP; 1 where neither has one."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        if order:
            (at,) = struct.unpack_from(f"{order}I", exif, 4)
            (count,) = struct.unpack_from(f"{order}H", exif, at)
            for place in range(at + 2, at + 2 + 12 * count, 12):
                tag, number = struct.unpack_from(f"{order}HH", exif, place)
                if tag == _ORIENTATION:
                    return int(struct.unpack_from(f"{order}{_NUMBERS.get(number, 'H')}", exif, place + 8)[0])
    except struct.error:  # it ends too early
        return 1
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 1
