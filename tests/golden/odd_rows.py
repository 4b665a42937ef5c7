"""BMP, TGA and PNM files of all kinds that Pillow reads: rows of pixels, or runs of them."""
import struct

from make_image import packed, random_bytes, random_rows


def small_size(rng):
    sides = [rng.choice((1, 2, 7, rng.randrange(3, 42))), rng.choice((3, rng.randrange(3, 42)))]
    rng.shuffle(sides)
    return sides


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
                pairs = zip(part[::2], part[1::2])
                data = bytes(a << 4 | b for a, b in pairs) if four else bytes(part)
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
    count = most
    if header != 12 and rng.random() < 0.5:
        count = rng.randrange(3 if bits > 1 else 2, most + 1)
    if kind == "ramp":
        colours = [bytes([255 * i if count == 2 else i] * 3) for i in range(count)]
    else:
        colours = [random_bytes(rng, 3) for _ in range(count)]
    if header != 12:
        colours = [c + rng.choice((b"\0", b"\xff")) for c in colours]
    return b"".join(colours), count


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
        room = header - 40 if header > 40 else 12 * (compression == 3)
        info += struct.pack("<4I", *(masks or (0,) * 4))[:room]
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
    head = struct.pack("<BBBHHBHHHHBB", len(remark), kind == 1, kind + 8 * packets, first, count,
                       map_bits, rng.randrange(9), 0, width, height, bits, flags)
    footer = rng.choice((b"", b"\0" * 8 + b"TRUEVISION-XFILE.\0"))
    return name, "tga", head + remark + palette + data + footer


# -- PNM --
def random_pnm(rng):
    width, height = small_size(rng)
    kind = rng.randrange(1, 7)
    most = 1
    if kind not in (1, 4):
        most = rng.choice((255, 255, 1, 3, 7, 100, 254, 256, 1000, 4095, 65534, 65535))
    bands = 3 if kind in (3, 6) else 1
    over = most not in (255, 65535) and kind in (5, 6) and rng.random() < 0.2  # which Pillow clips
    top = (255 if most < 256 else 65535) if over else most
    if kind in (2, 5) and most > 255 and rng.random() < 0.7:
        top = min(most, max(1, most * 500 // 65535))  # mode I is clipped at 255
    rows = random_rows(rng, width, height, bands, top)
    spaces = (" ", "\n", "\t", "\r\n", "  ", " #a remark 7\n", "\n# another\n", "\v")
    space = lambda: rng.choice(spaces)
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
