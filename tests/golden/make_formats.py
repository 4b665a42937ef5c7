#!/usr/bin/env python3
"""Writes formats.bin: what Pillow makes of small WebP, GIF, BMP, PNM and TGA pictures.

    make_formats.py                                      formats.bin, laid out as pictures.bin
    make_formats.py --folder DIR [--count N] [--seed S]  N random pictures of each format

The second is for check_images.py. All odd kinds that Pillow reads are among them. Needs
python3-pil.
"""
import argparse
import io
import pathlib
import random
import struct
import warnings
import zlib

from PIL import Image

from make_image import HERE, MODES, square_view
from odd_codes import random_gif, random_webp
from odd_rows import random_bmp, random_pnm, random_tga

FORMATS = {"BMP": random_bmp, "GIF": random_gif, "PNM": random_pnm, "TGA": random_tga,
           "WebP": random_webp}


def golden(rng, data):
    mode, size = rng.choice((0, 0, 1, 2)), rng.choice((8, 16, 23, 50))
    image = Image.open(io.BytesIO(data))
    if min(round(size * side / max(image.size)) for side in image.size) == 0:
        mode = 0  # too thin for "longest"
    whole, view = image.convert("RGB"), square_view(image, MODES[mode], size)
    return struct.pack("<4I", mode, size, zlib.crc32(whole.tobytes()), zlib.crc32(view.tobytes()))


def write_golden(path, count):
    rng, out = random.Random(4), []
    for _ in range(count):
        for make in FORMATS.values():
            name, _, data = make(rng)
            out += [struct.pack("<I", len(name)), name.encode(), struct.pack("<I", len(data)), data,
                    golden(rng, data)]
    path.write_bytes(struct.pack("<I", len(out) // 5) + b"".join(out))


def write_folder(folder, count, seed):
    for kind, make in FORMATS.items():
        rng = random.Random(f"{kind} {seed}")
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            _, extension, data = make(rng)
            (folder / kind / f"{i:05}.{extension}").write_bytes(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    warnings.simplefilter("ignore")  # of palettes with transparency
    if flags.folder:
        write_folder(flags.folder, flags.count, flags.seed)
    else:
        write_golden(HERE / "formats.bin", 60)
