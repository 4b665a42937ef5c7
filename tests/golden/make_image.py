#!/usr/bin/env python3
"""Writes resize.bin and pictures.bin: what Pillow makes of small pictures. Needs Pillow (9.4 used).

resize.bin    u32 cases; per case u32 width, height, new width, new height; RGB in; RGB out
pictures.bin  u32 files; per file u32 width, height, tolerance, bytes; the file; RGB as decoded
All numbers are little-endian; RGB is width * height * 3 bytes, row by row.
"""
import io
import pathlib
import random
import struct

from PIL import Image

HERE = pathlib.Path(__file__).parent
RESIZES = [(37, 23, 16, 10), (16, 12, 40, 31), (50, 70, 32, 44), (64, 8, 7, 9), (9, 64, 64, 9),
           (1, 5, 3, 3), (33, 33, 33, 16), (17, 33, 40, 33), (60, 40, 24, 24), (5, 4, 5, 4)]


def noise(rng, width, height, extreme=False):
    pick = (lambda: rng.choice((0, 255))) if extreme else (lambda: rng.randrange(256))
    return Image.frombytes("RGB", (width, height), bytes(pick() for _ in range(width * height * 3)))


def write_resizes(path):
    rng = random.Random(1)
    out = [struct.pack("<I", len(RESIZES))]
    for i, (w, h, new_w, new_h) in enumerate(RESIZES):
        image = noise(rng, w, h, extreme=i % 2 == 1)
        resized = image.resize((new_w, new_h), Image.BICUBIC)
        out += [struct.pack("<4I", w, h, new_w, new_h), image.tobytes(), resized.tobytes()]
    path.write_bytes(b"".join(out))


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def pictures():
    rng = random.Random(2)
    base = noise(rng, 8, 6).resize((24, 17), Image.BICUBIC)
    alpha = Image.new("L", base.size, 77)
    rgba = base.copy()
    rgba.putalpha(alpha)
    samples = bytes(rng.randrange(256) for _ in range(2 * 24 * 17))
    grey16 = Image.frombytes("I;16", (24, 17), samples)
    upper = Image.frombytes("L", (24, 17), grey16.tobytes()[1::2])
    for image in (base, base.convert("L"), base.quantize(16), base.convert("1"), rgba,
                  rgba.convert("LA")):
        yield encoded(image, format="PNG"), image.convert("RGB"), 0
    palette = base.quantize(8)
    yield encoded(palette, format="PNG", transparency=3), palette.convert("RGB"), 0
    yield encoded(grey16, format="PNG"), upper.convert("RGB"), 0
    for options in ({}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}):
        data = encoded(base, format="JPEG", **options)
        yield data, Image.open(io.BytesIO(data)).convert("RGB"), 8  # another inverse DCT
    data = encoded(base.convert("L"), format="JPEG")
    yield data, Image.open(io.BytesIO(data)).convert("RGB"), 8


def write_pictures(path):
    files = list(pictures())
    out = [struct.pack("<I", len(files))]
    for data, image, tolerance in files:
        out += [struct.pack("<4I", *image.size, tolerance, len(data)), data, image.tobytes()]
    path.write_bytes(b"".join(out))


if __name__ == "__main__":
    write_resizes(HERE / "resize.bin")
    write_pictures(HERE / "pictures.bin")
