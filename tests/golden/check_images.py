#!/usr/bin/env python3
"""Compares `diptych preprocess` with Pillow and NumPy on every picture below some folders.

    tests/golden/check_images.py [--size R] [--mode shortest|longest|squash] FOLDER...

Prints the largest difference of the normalised pixels, the worst cosine, and every file that only
one of the two reads. Exit code 1 if a pixel differs. Needs python3-pil and python3-numpy.
"""
import argparse
import collections
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from PIL import Image

from make_image import square_view

BINARY = pathlib.Path(__file__).parents[2] / "build/diptych"
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM", "TGA")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm",
            ".tga")
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def reference(path, mode, size):
    """(3, R, R) f32 and the picture's mode; None if Pillow refuses the file."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            view = np.asarray(square_view(image, mode, size), np.float32)
            return ((view / np.float32(255) - MEAN) / STD).transpose(2, 0, 1), image.mode
    except Exception:
        return None


def ours(paths, mode, size):
    """(N, 3, R, R) f32; None if one of the files is refused."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as out:
        command = [BINARY, "preprocess", "--size", str(size), "--mode", mode, "--out", out.name]
        done = subprocess.run(command + paths, stderr=subprocess.PIPE, text=True)
        return np.load(out.name) if done.returncode == 0 else None


class Tally:
    def __init__(self):
        self.modes = collections.Counter()
        self.refused = self.only_ours = self.only_pillows = self.differing = 0
        self.worst, self.cosine = 0.0, 1.0

    def add(self, path, mine, expected):
        if mine is not None and expected is not None:
            self.compare(path, mine, *expected)
        elif mine is None and expected is None:
            self.refused += 1
        else:
            self.only_ours += mine is not None
            self.only_pillows += mine is None
            print(f"read only by {'Pillow' if mine is None else 'us'}: {path}")

    def compare(self, path, mine, pixels, mode):
        self.modes[mode] += 1
        difference = float(np.abs(mine - pixels).max())
        a, b = mine.ravel().astype(np.float64), pixels.ravel().astype(np.float64)
        self.cosine = min(self.cosine, float(a @ b / np.sqrt((a @ a) * (b @ b))))
        self.worst = max(self.worst, difference)
        if difference > 0:
            self.differing += 1
            print(f"differs by {difference:.3g}: {path} ({mode})")

    def __str__(self):
        return (f"{sum(self.modes.values())} files compared {dict(self.modes)}, {self.differing} "
                f"differ; largest difference {self.worst:.3g}, worst cosine {self.cosine:.9f}; "
                f"refused by both {self.refused}, only by us {self.only_pillows}, "
                f"only by Pillow {self.only_ours}")


def pictures_below(folders):
    return sorted(p for folder in folders for p in pathlib.Path(folder).rglob("*")
                  if p.suffix.lower() in SUFFIXES and p.is_file())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--mode", choices=("shortest", "longest", "squash"), default="shortest")
    parser.add_argument("folders", nargs="+")
    flags = parser.parse_args()
    warnings.simplefilter("ignore")  # of palettes with transparency
    files, tally = pictures_below(flags.folders), Tally()
    for start in range(0, len(files), 64):
        batch = files[start:start + 64]
        together = ours(batch, flags.mode, flags.size)
        for i, path in enumerate(batch):
            if together is not None:
                mine = together[i]
            else:  # one of the batch is refused
                alone = ours([path], flags.mode, flags.size)
                mine = None if alone is None else alone[0]
            tally.add(path, mine, reference(path, flags.mode, flags.size))
    print(tally)
    return 1 if tally.differing else 0


if __name__ == "__main__":
    sys.exit(main())
