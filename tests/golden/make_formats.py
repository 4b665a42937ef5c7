#!/usr/bin/env python3
"""Writes formats.bin: what Pillow makes of small WebP, GIF, BMP, PNM and TGA pictures.

    tests/golden/make_formats.py                                  formats.bin, as pictures.bin of make_image.py
    tests/golden/make_formats.py --folder DIR [--count N] [--seed S]  N random pictures of each format

The second is for check_images.py. All odd kinds that Pillow reads are among them. Needs python3-pil.
"""
import argparse
import io
import pathlib
import random
import struct
import warnings
import zlib

from PIL import Image

from make_image import HERE, MODES, packed, photo, random_bytes, random_rows, square_view


def small_size(rng):
    sides = [rng.choice((1, 2, 7, rng.randrange(3, 42))), rng.choice((3, rng.randrange(3, 42)))]
    rng.shuffle(sides)
    return sides


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def indices(rng, width, height, top):
    return [[v for v, in row] for row in random_rows(rng, width, height, 1, top)]


# -- BMP --
def runs(rng, rows, four):
    """Run lengths of rows, from the first on, in 8 or 4 bits."""
    out = bytearray()
    for y, row in enumerate(rows):
        x = 0
        end = len(row) - (rng.randrange(len(row)) if rng.random() < 0.2 else 0)
        while x < end or x == 0:
            count = rng.randrange(1, min(255, len(row) - x) + 1)
            if count >= 3 and rng.random() < 0.4 and not (four and count % 2):
                part = row[x:x + count]
                data = bytes(a << 4 | b for a, b in zip(part[::2], part[1::2])) if four else bytes(part)
                out += bytes((0, count)) + data + b"\0" * (len(data) % 2)
            else:
                beyond = rng.randrange(3) if x + count == len(row) else 0
                value = row[x] << 4 | row[min(x + 1, len(row) - 1)] if four else row[x]
                out += bytes((min(count + beyond, 255), value))
            x += count
        if y + 1 < len(rows) or end < len(row) or rng.random() < 0.5:
            out += b"\0\0"
    return bytes(out) + b"\0\1"


BMP_MASKS = {16: [(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)],
             24: [(0xFF0000, 0xFF00, 0xFF, 0)],
             32: [(0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0),
                  (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
                  (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0, 0, 0, 0)]}


def bmp_palette(rng, bits, header):
    kind = rng.choice(("random", "random", "ramp") if bits != 4 else ("random",))
    most = 1 << bits
    count = most if header == 12 or rng.random() < 0.5 else rng.randrange(3 if bits > 1 else 2, most + 1)
    if kind == "ramp":
        colours = [bytes([255 * i if count == 2 else i] * 3) for i in range(count)]
    else:
        colours = [random_bytes(rng, 3) for _ in range(count)]
    return b"".join(c + (b"" if header == 12 else rng.choice((b"\0", b"\xff"))) for c in colours), count


def random_bmp(rng):
    width, height = small_size(rng)
    header = rng.choice((12, 40, 40, 40, 64, 108, 124))
    bits = rng.choice((1, 4, 8, 16, 24, 32))
    top_down = header != 12 and rng.random() < 0.3
    compression, masks = 0, ()
    if header in (40, 108, 124) and bits >= 16 and rng.random() < 0.6:
        compression, masks = 3, rng.choice([m for m in BMP_MASKS[bits] if header > 40 or m[3] == 0])
    if header != 12 and bits in (4, 8) and rng.random() < 0.5:
        compression = 1 if bits == 8 else 2
    palette, count = bmp_palette(rng, bits, header) if bits <= 8 else (b"", 0)
    if bits <= 8:
        rows = indices(rng, width, height, (1 << bits) - 1)
        lines = [packed(row, bits) for row in rows]
    else:
        lines = [random_bytes(rng, width * bits // 8) for _ in range(height)]
    lines = [line + b"\0" * (-len(line) % 4) for line in lines]
    data = runs(rng, rows, bits == 4) if compression in (1, 2) else b"".join(lines)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        told = 0 if count == 1 << bits and rng.random() < 0.5 else count
        info = struct.pack("<IiiHHIIiiII", header, width, -height if top_down else height, 1, bits,
                           compression, rng.choice((0, len(data))), 2835, 2835, told, 0)
        info += struct.pack("<4I", *(masks or (0,) * 4))[:max(0, header - 40) if header > 40 else 12 * (compression == 3)]
        info += b"\0" * (header - len(info))
    gap = b"x" * rng.choice((0, 0, 4 if compression in (1, 2) else 3))
    at = 14 + len(info) + len(palette) + len(gap)
    if not gap and rng.random() < 0.2:
        at = 0
    name = f"{width}x{height} BMP header {header} bits {bits} compression {compression}"
    name += f" colours {count}" * (count > 0) + " top-down" * top_down
    return name, "bmp", struct.pack("<2sIHHI", b"BM", 14, 0, 0, at) + info + palette + gap + data


# -- TGA --
def tga_runs(rng, pixels, width):
    """Packets of pixels (bytes each); lists may go on into the next row, runs may not."""
    out, at = bytearray(), 0
    while at < len(pixels):
        if rng.random() < 0.5:
            count = rng.randrange(1, min(128, len(pixels) - at) + 1)
            out += bytes([count - 1]) + b"".join(pixels[at:at + count])
        else:
            count = rng.randrange(1, min(128, width - at % width) + 1)
            out += bytes([127 + count]) + pixels[at]
        at += count
    return bytes(out)


def random_tga(rng):
    width, height = small_size(rng)
    kind, bits = rng.choice(((1, 8), (2, 16), (2, 24), (2, 32), (3, 8), (3, 16), (3, 1)))
    packets = bits > 1 and rng.random() < 0.5
    first, count, map_bits, palette = 0, 0, 0, b""
    if kind == 1:
        map_bits = rng.choice((16, 24))
        count = rng.randrange(1, 257)
        first = rng.choice((0, rng.randrange(257 - count)))
        palette = random_bytes(rng, count * map_bits // 8)
    if bits == 1:
        data = b"".join(packed(row, 1) for row in indices(rng, width, height, 1))
    else:
        rows = random_rows(rng, width, height, bits // 8, 255)
        pixels = [bytes(pixel) for row in rows for pixel in row]
        data = tga_runs(rng, pixels, width) if packets else b"".join(pixels)
    flags = rng.choice((0, 0x10, 0x20, 0x30)) | rng.choice((0, 8))
    remark = b"a remark"[:rng.choice((0, 0, 8))]
    name = f"{width}x{height} TGA type {kind + 8 * packets} bits {bits} flags {flags:x}"
    name += f" colours {first}+{count} of {map_bits} bits" * (kind == 1)
    head = struct.pack("<BBBHHBHHHHBB", len(remark), kind == 1, kind + 8 * packets, first, count, map_bits,
                       rng.randrange(9), 0, width, height, bits, flags)
    footer = rng.choice((b"", b"\0" * 8 + b"TRUEVISION-XFILE.\0"))
    return name, "tga", head + remark + palette + data + footer


# -- PNM --
def random_pnm(rng):
    width, height = small_size(rng)
    kind = rng.randrange(1, 7)
    most = 1 if kind in (1, 4) else rng.choice((255, 255, 1, 3, 7, 100, 254, 256, 1000, 4095, 65534, 65535))
    bands = 3 if kind in (3, 6) else 1
    over = most not in (255, 65535) and kind in (5, 6) and rng.random() < 0.2  # which Pillow clips
    top = (255 if most < 256 else 65535) if over else most
    if kind in (2, 5) and most > 255 and rng.random() < 0.7:
        top = min(most, max(1, most * 500 // 65535))  # mode I is clipped at 255
    rows = random_rows(rng, width, height, bands, top)
    space = lambda: rng.choice((" ", "\n", "\t", "\r\n", "  ", " #a remark 7\n", "\n# another\n", "\v"))
    head = f"P{kind}" + space() + str(width) + space() + str(height)
    head += (space() + str(most)) * (kind not in (1, 4)) + rng.choice("\n \t")
    values = [v for row in rows for pixel in row for v in pixel]
    if kind == 1:
        body = "".join(str(v) + rng.choice(("", "", " ", "\n", "#7\n")) for v in values).encode()
    elif kind < 4:
        body = "".join(str(v).zfill(rng.choice((1, 1, 4))) + space() for v in values).encode()
    elif kind == 4:
        body = b"".join(packed([v for v, in row], 1) for row in rows)
    else:
        body = b"".join(v.to_bytes(1 if most < 256 else 2, "big") for v in values)
    extension = {1: "pbm", 4: "pbm", 2: "pgm", 5: "pgm", 3: "ppm", 6: "ppm"}[kind]
    name = f"{width}x{height} P{kind} to {most}" + " over" * over
    return name, rng.choice((extension, "pnm")), head.encode() + body + rng.choice((b"", b"\n"))


# -- GIF --
def lzw(rng, values, bits):
    """Strings learned as the format says, forgotten now and then, or no more when there are 4096."""
    clear, pool, held, out = 1 << bits, 0, 0, bytearray()
    size = bits + 1

    def put(code):
        nonlocal pool, held
        pool |= code << held
        held += size
        while held >= 8:
            out.append(pool & 255)
            pool >>= 8
            held -= 8

    def fresh():
        return {(i,): i for i in range(clear)}, clear + 2

    put(clear)
    table, next_code = fresh()
    word, often = (), rng.choice((0, 0, 0.01))
    for v in values:
        longer = word + (v,)
        if longer in table:
            word = longer
            continue
        put(table[word])
        if next_code < 4096:
            table[longer] = next_code
            next_code += 1
            if next_code - 1 == 1 << size and size < 12:
                size += 1
        word = (v,)
        if rng.random() < often:
            put(table[word])
            size += next_code == 1 << size and size < 12  # the reader learns a string with this code
            word = ()
            put(clear)
            table, next_code = fresh()
            size = bits + 1
    if word:
        put(table[word])
        size += next_code == 1 << size and size < 12
    put(clear + 1)
    if held:
        out.append(pool & 255)
    return bytes(out)


def blocks(rng, data):
    out = b""
    while data:
        n = rng.choice((255, 255, rng.randrange(1, 256)))
        out, data = out + bytes([len(data[:n])]) + data[:n], data[n:]
    return out + b"\0"


def gif_colours(rng, bits, ramp):
    count = 1 << bits
    return b"".join(bytes([i] * 3) for i in range(count)) if ramp else random_bytes(rng, 3 * count)


def random_gif(rng):
    width, height = small_size(rng)
    bits = rng.randrange(1, 9)
    x, y = rng.choice((0, 0, rng.randrange(9))), rng.choice((0, 0, rng.randrange(9)))
    canvas = rng.choice(((width + x, height + y), (width + x + 2, height + y + 3), (max(width // 2, 1), 1), (0, 0)))
    interlaced = rng.random() < 0.4
    own = rng.choice((None, None, bits))
    ramp_own, ramp_global = (rng.random() < 0.2 for _ in range(2))
    common = None if own and rng.random() < 0.5 else rng.choice((bits, bits, rng.randrange(1, 9), None))
    if own and ramp_own and common and not ramp_global:
        ramp_own = False
    out = struct.pack("<6sHHBBB", rng.choice((b"GIF87a", b"GIF89a")), *canvas,
                      0x80 | common - 1 if common else 0, rng.randrange(256), rng.choice((0, 49)))
    out += gif_colours(rng, common, ramp_global) if common else b""
    transparent = rng.random() < 0.4
    for _ in range(rng.randrange(3)):
        out += rng.choice((b"!\xfe\5hello\0", b"!\xfe\0", b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0", b"\0",
                           b"!\xf9\4\0\0\0\5\0"))
    if transparent:
        out += b"!\xf9\4" + bytes((1 | rng.choice((0, 4, 8)), 0, 0, rng.randrange(256))) + b"\0"
    flags = (0x80 | own - 1 if own else 0) | 0x40 * interlaced
    out += struct.pack("<cHHHHB", b",", x, y, width, height, flags)
    out += gif_colours(rng, own, ramp_own) if own else b""
    values = [v for row in indices(rng, width, height, (1 << bits) - 1) for v in row]
    least = max(bits, 2)
    out += bytes([least]) + blocks(rng, lzw(rng, values, least))
    if rng.random() < 0.3:  # another frame
        out += struct.pack("<cHHHHB", b",", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    size = max(canvas[0], x + width), max(canvas[1], y + height)
    name = f"{size[0]}x{size[1]} GIF bits {bits} frame {width}x{height} at {x},{y}"
    name += f" common {common} own {own}" + " interlaced" * interlaced + " transparent" * transparent
    return name, "gif", out + b";"


# -- WebP --
def webp_chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def riff(data):
    return b"RIFF" + struct.pack("<I", 4 + len(data)) + b"WEBP" + data


def u24(*values):
    return b"".join(struct.pack("<I", v)[:3] for v in values)


def webp_parts(still):
    """The chunks of a still picture that an animation takes over."""
    at, parts = 12, b""
    while at < len(still):
        name, size = still[at:at + 4], struct.unpack("<I", still[at + 4:at + 8])[0]
        end = at + 8 + size + size % 2
        if name in (b"ALPH", b"VP8 ", b"VP8L"):
            parts += still[at:end]
        at = end
    return parts


def animated(rng, still, width, height, alpha):
    """Frames anywhere on a canvas; the first one is `still`."""
    x, y = 2 * rng.randrange(6), 2 * rng.randrange(6)
    canvas = width + x + rng.randrange(5), height + y + rng.randrange(5)
    frame = lambda: webp_chunk(b"ANMF", u24(x // 2, y // 2, width - 1, height - 1, 100) +
                               bytes([rng.randrange(4)]) + webp_parts(still))
    head = webp_chunk(b"VP8X", bytes([2 | 16 * alpha, 0, 0, 0]) + u24(canvas[0] - 1, canvas[1] - 1))
    head += webp_chunk(b"ANIM", random_bytes(rng, 4) + b"\0\0")
    return canvas, riff(head + b"".join(frame() for _ in range(rng.randrange(1, 4))))


def random_webp(rng):
    width, height = small_size(rng)
    mode = rng.choice(("RGB", "RGBA"))
    image = photo(rng, width, height, mode)
    if rng.random() < 0.3:
        image = image.quantize(rng.randrange(2, 40)).convert(mode)
    lossless = rng.random() < 0.5
    options = {"lossless": lossless, "quality": rng.choice((0, 30, 80, 100)), "method": rng.randrange(7),
               "exact": rng.random() < 0.5, "alpha_quality": rng.choice((10, 100))}
    if rng.random() < 0.3:
        options["exif"] = b"Exif\0\0" + random_bytes(rng, 20)
    data, size = saved(image, "WEBP", **options), (width, height)
    kind = rng.choice(("still", "still", "animated", "several"))
    if kind == "animated":
        size, data = animated(rng, data, width, height, rng.random() < 0.7)
    elif kind == "several":
        more = [photo(rng, width, height, mode) for _ in range(2)]
        data = saved(image, "WEBP", save_all=True, append_images=more, **options)
    name = f"{size[0]}x{size[1]} WebP {kind} {mode}" + " lossless" * lossless + " exif" * ("exif" in options)
    return name, "webp", data


FORMATS = {"BMP": random_bmp, "GIF": random_gif, "PNM": random_pnm, "TGA": random_tga, "WebP": random_webp}


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
            out.append(struct.pack("<I", len(name)) + name.encode() + struct.pack("<I", len(data)) + data +
                       golden(rng, data))
    path.write_bytes(struct.pack("<I", len(out)) + b"".join(out))


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
