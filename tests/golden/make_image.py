#!/usr/bin/env python3
"""Writes resize.bin, filters.bin and pictures.bin: what Pillow makes of small pictures.

resize.bin    u32 cases; per case u32 width, height, new width, new height; RGB in; RGB out
filters.bin   u32 cases; per case u32 filter (Pillow's number), bands (1 L, 3 RGB, 4 RGBA), width,
              height, new width, new height; samples in; samples out
pictures.bin  u32 files; per file u32 length, its name; u32 length, the file; u32 resize mode, R;
              u32 CRC-32 of the whole picture as RGB, u32 CRC-32 of the R x R view
All numbers are little-endian; RGB is width * height * 3 bytes, row by row. Needs python3-pil.
"""
import io
import itertools
import pathlib
import random
import struct
import warnings
import zlib

from PIL import Image

HERE = pathlib.Path(__file__).parent
RESIZES = [(37, 23, 16, 10), (16, 12, 40, 31), (50, 70, 32, 44), (64, 8, 7, 9), (9, 64, 64, 9),
           (1, 5, 3, 3), (33, 33, 33, 16), (17, 33, 40, 33), (60, 40, 24, 24), (5, 4, 5, 4)]
MODES = ("shortest", "longest", "squash")
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by PNG's colour type
PNG_KINDS = [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3), (4, 3),
             (8, 3), (8, 4), (16, 4), (8, 6), (16, 6)]  # depth, colour type


# -- the reference: OpenAI's transform (clip/clip.py), open_clip's other modes (transform.py) --
def square_view(image, mode, size):
    """Resized and cropped in the picture's own mode; RGB comes last."""
    width, height = image.size
    if mode == "squash":
        return image.resize((size, size), Image.BICUBIC).convert("RGB")
    if mode == "longest":
        ratio = max(height / size, width / size)
        image = image.resize((round(width / ratio), round(height / ratio)), Image.BICUBIC)
        square = Image.new(image.mode, (size, size))
        if image.mode == "P":
            square.putpalette(image.getpalette())
        square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
        return square.convert("RGB")
    short, long = min(width, height), max(width, height)
    scaled = int(size * long / short)
    image = image.resize((size, scaled) if width <= height else (scaled, size), Image.BICUBIC)
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return image.crop((left, top, left + size, top + size)).convert("RGB")


# -- PNG of every kind: Pillow writes only some of them --
def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed(values, depth):
    """A row of samples as bytes, the first one in the uppermost bits."""
    bits = "".join(f"{v:0{depth}b}" for v in values)
    bits += "0" * (-len(bits) % 8)
    return b"\0" + int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:]


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2)]  # first column, first row, steps


def png(rows, depth, colour, extra=b"", interlaced=False):
    """rows[y][x] is a tuple of samples."""
    data = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        for row in rows[y0::dy]:
            if row[x0::dx]:
                data += packed(itertools.chain.from_iterable(row[x0::dx]), depth)
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), depth, colour, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra +
            chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


def random_rows(rng, width, height, channels, top):
    """Blocks of random colours on a slope: much contrast in few bytes. Samples 0 ... top."""
    block, slope = rng.randrange(2, 12), rng.randrange(3)
    cells = {}

    def pixel(x, y):
        at = x // block, y // block
        if at not in cells:
            cells[at] = [rng.choice((0, top, rng.randrange(top + 1))) for _ in range(channels)]
        return tuple((v + slope * (x + y)) % (top + 1) for v in cells[at])

    return [[pixel(x, y) for x in range(width)] for y in range(height)]


def random_bytes(rng, count):
    return bytes(rng.randrange(256) for _ in range(count))


def random_colours(rng, depth, colour, transparent):
    """PLTE, which may be too short for the largest index, and tRNS."""
    colours = rng.randrange(2, (1 << depth) + 1) if colour == 3 else 0
    chunks = chunk(b"PLTE", random_bytes(rng, 3 * colours)) if colours else b""
    if transparent:
        chunks += chunk(b"tRNS", random_bytes(rng, colours) or b"\0\1" * CHANNELS[colour])
    return chunks


def random_size(rng):
    sides = [rng.choice((1, 2, 7, rng.randrange(3, 90))), rng.choice((3, rng.randrange(3, 90)))]
    rng.shuffle(sides)
    return sides


def random_png(rng, depth, colour):
    width, height = random_size(rng)
    top = 500 if (depth, colour) == (16, 0) else (1 << depth) - 1  # 500: Pillow clips mode I at 255
    transparent = colour in (0, 2, 3) and rng.random() < 0.4
    interlaced = rng.random() < 0.3
    extra = random_colours(rng, depth, colour, transparent)
    rows = random_rows(rng, width, height, CHANNELS[colour], top)
    name = f"{width}x{height} depth {depth} colour {colour}"
    name += " tRNS" * transparent + " interlaced" * interlaced
    return name, png(rows, depth, colour, extra, interlaced)


# -- JPEG --
def photo(rng, width, height, mode):
    channels = len(Image.new(mode, (1, 1)).getbands())
    cells = random_bytes(rng, 6 * 5 * channels)
    return Image.frombytes(mode, (6, 5), cells).resize((width, height), Image.BICUBIC)


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", **options)
    return buffer.getvalue()


def ycck(cmyk):
    """Declares the four components of a CMYK file to be YCCK, in Adobe's marker."""
    at = cmyk.index(b"Adobe") + 11
    return cmyk[:at] + b"\2" + cmyk[at + 1:]


def with_restarts(image):
    """A restart interval per row of blocks: strips, each coded alone, joined by RST markers."""
    strips = [encoded(image.crop((0, y, image.width, y + 8)), quality=80)
              for y in range(0, image.height, 8)]
    scan = strips[0].index(b"\xff\xda")
    start = scan + 2 + struct.unpack(">H", strips[0][scan + 2:scan + 4])[0]
    head = bytearray(strips[0][:start])
    frame = head.index(b"\xff\xc0")
    head[frame + 5:frame + 7] = struct.pack(">H", image.height)
    head[scan:scan] = struct.pack(">HHH", 0xFFDD, 4, (image.width + 7) // 8)
    out = bytes(head)
    for i, strip in enumerate(strips):
        out += strip[start:-2] + b"\xff" + bytes([0xD0 + i % 8])
    return out[:-2] + b"\xff\xd9"


def jpegs(rng):
    for subsampling in (0, 1, 2):
        for progressive, (width, height) in itertools.product((False, True), ((37, 23), (16, 48))):
            name = f"{width}x{height} JPEG subsampling {subsampling}" + " progressive" * progressive
            yield name, encoded(photo(rng, width, height, "RGB"), quality=rng.choice((40, 90)),
                                subsampling=subsampling, progressive=progressive)
    for width, height in ((1, 1), (9, 31)):
        yield f"{width}x{height} JPEG grey", encoded(photo(rng, width, height, "L"))
        cmyk = encoded(photo(rng, width, height, "CMYK"), quality=90)
        yield f"{width}x{height} JPEG CMYK", cmyk
        yield f"{width}x{height} JPEG YCCK", ycck(cmyk)
    yield "43x40 JPEG with restarts", with_restarts(photo(rng, 43, 40, "L"))


# -- the files --
def write_resizes(path):
    rng = random.Random(1)
    out = [struct.pack("<I", len(RESIZES))]
    for i, (w, h, new_w, new_h) in enumerate(RESIZES):
        pixels = random_bytes(rng, w * h * 3)
        if i % 2:
            pixels = bytes(255 * (v > 127) for v in pixels)
        image = Image.frombytes("RGB", (w, h), pixels)
        resized = image.resize((new_w, new_h), Image.BICUBIC)
        out += [struct.pack("<4I", w, h, new_w, new_h), image.tobytes(), resized.tobytes()]
    path.write_bytes(b"".join(out))


def write_filters(path):
    rng, cases = random.Random(3), []
    for method, (bands, mode) in itertools.product(range(6), ((1, "L"), (3, "RGB"), (4, "RGBA"))):
        for w, h, new_w, new_h in ((37, 23, 16, 10), (9, 11, 23, 17), (50, 7, 7, 13)):
            image = Image.frombytes(mode, (w, h), random_bytes(rng, w * h * bands))
            cases += [struct.pack("<6I", method, bands, w, h, new_w, new_h), image.tobytes(),
                      image.resize((new_w, new_h), method).tobytes()]
    path.write_bytes(struct.pack("<I", len(cases) // 3) + b"".join(cases))


def write_pictures(path):
    rng = random.Random(2)
    files = [random_png(rng, *kind) for _ in range(24) for kind in PNG_KINDS] + list(jpegs(rng))
    out = [struct.pack("<I", len(files))]
    for i, (name, data) in enumerate(files):
        mode, size = rng.choice((0, 0, 1, 2)), rng.choice((8, 16, 23, 50))
        image = Image.open(io.BytesIO(data))
        if min(round(size * side / max(image.size)) for side in image.size) == 0:
            mode = 0  # too thin for "longest"
        whole, view = image.convert("RGB"), square_view(image, MODES[mode], size)
        out += [struct.pack("<I", len(name)), name.encode(), struct.pack("<I", len(data)), data,
                struct.pack("<2I", mode, size)]
        out += [struct.pack("<I", zlib.crc32(rgb.tobytes())) for rgb in (whole, view)]
    path.write_bytes(b"".join(out))


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of palettes with transparency
    write_resizes(HERE / "resize.bin")
    write_filters(HERE / "filters.bin")
    write_pictures(HERE / "pictures.bin")
