"""GIF and WebP files of all kinds that Pillow reads."""
import io
import struct

from make_image import photo, random_bytes
from odd_rows import indices, small_size


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


# -- GIF --
def lzw(rng, values, bits):
    """Strings learned as the format says, forgotten now and then; 4096 of them at most."""
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
            size += next_code == 1 << size and size < 12  # a string is learned with this code
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
    canvas = rng.choice(((width + x, height + y), (width + x + 2, height + y + 3),
                         (max(width // 2, 1), 1), (0, 0)))
    interlaced = rng.random() < 0.4
    own = rng.choice((None, None, bits))
    ramp_own, ramp_global = (rng.random() < 0.2 for _ in range(2))
    common = rng.choice((bits, bits, rng.randrange(1, 9), None))
    if own and rng.random() < 0.5:
        common = None
    if own and ramp_own and common and not ramp_global:
        ramp_own = False
    out = struct.pack("<6sHHBBB", rng.choice((b"GIF87a", b"GIF89a")), *canvas,
                      0x80 | common - 1 if common else 0, rng.randrange(256), rng.choice((0, 49)))
    out += gif_colours(rng, common, ramp_global) if common else b""
    transparent = rng.random() < 0.4
    for _ in range(rng.randrange(3)):
        out += rng.choice((b"!\xfe\5hello\0", b"!\xfe\0", b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0",
                           b"\0", b"!\xf9\4\0\0\0\5\0"))
    if transparent:
        flags = 1 | rng.choice((0, 4, 8))
        out += b"!\xf9\4" + bytes((flags, 0, 0, rng.randrange(256))) + b"\0"
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
    name += f" common {common} own {own}"
    name += " interlaced" * interlaced + " transparent" * transparent
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
    options = {"lossless": lossless, "quality": rng.choice((0, 30, 80, 100)),
               "method": rng.randrange(7), "exact": rng.random() < 0.5,
               "alpha_quality": rng.choice((10, 100))}
    if rng.random() < 0.3:
        options["exif"] = b"Exif\0\0" + random_bytes(rng, 20)
    data, size = saved(image, "WEBP", **options), (width, height)
    kind = rng.choice(("still", "still", "animated", "several"))
    if kind == "animated":
        size, data = animated(rng, data, width, height, rng.random() < 0.7)
    elif kind == "several":
        more = [photo(rng, width, height, mode) for _ in range(2)]
        data = saved(image, "WEBP", save_all=True, append_images=more, **options)
    name = f"{size[0]}x{size[1]} WebP {kind} {mode}" + " lossless" * lossless
    return name + " exif" * ("exif" in options), "webp", data
