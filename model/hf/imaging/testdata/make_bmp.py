"""Golden BMP files of every kind: what Pillow makes of them on white, as checksums of RGB bytes.

Needs: pip install pillow numpy transformers (made with 13.0.0, 2.4.6, 5.23.0). Run in this folder: python make_bmp.py
Writes images/bmp.json: name, the file in base64, w, h, sha256; without a sha256, Pillow refuses the file.
With a number as argument it writes that many random files to standard output instead, to try a decoder with.
"""
import base64, hashlib, io, json, struct, sys, warnings
import numpy as np
from PIL import Image
from transformers.image_transforms import convert_to_rgb

warnings.simplefilter("ignore")
r = np.random.default_rng(3)
MASKS = {"565": (0xF800, 0x7E0, 0x1F, 0), "555": (0x7C00, 0x3E0, 0x1F, 0), "1555": (0x7C00, 0x3E0, 0x1F, 0x8000), "444": (0xF00, 0xF0, 0xF, 0),
         "BGRX": (0xFF0000, 0xFF00, 0xFF, 0), "XBGR": (0xFF000000, 0xFF0000, 0xFF00, 0), "BGXR": (0xFF000000, 0xFF00, 0xFF, 0),
         "ABGR": (0xFF000000, 0xFF0000, 0xFF00, 0xFF), "RGBA": (0xFF, 0xFF00, 0xFF0000, 0xFF000000), "BGRA": (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
         "BGAR": (0xFF000000, 0xFF00, 0xFF, 0xFF0000), "none": (0, 0, 0, 0), "10 bits each": (0x3FF00000, 0xFFC00, 0x3FF, 0)}


def noise(n):
    return r.integers(0, 256, n, dtype=np.uint8).tobytes()


def bmp(w, h, bits, comp=0, size=40, masks=None, colours=0, palette=None, down=False, data=None, count_palette=True, cut=0, no_offset=False):
    """A BMP with header of the given size; colours is the field, palette the entries (of 3 or 4 bytes)."""
    if size == 12:
        head = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", size, w, -h if down else h, 1, bits, comp, 0, 2835, 2835, colours, 0)
        if masks:
            head += struct.pack("<4I", *masks)[: 12 if size in (40, 52) else 16]
        if size > 40:
            head = head.ljust(size, b"\0")
    if palette is None and bits <= 8:
        palette = noise((4 if size > 12 else 3) * (colours or 1 << bits))
    palette = palette or b""
    if data is None:
        data = noise((w * bits + 31) // 32 * 4 * h)
    at = 14 + len(head) + (len(palette) if count_palette else 0)
    out = b"BM" + struct.pack("<IHHI", 0, 0, 0, 0 if no_offset else at) + head + palette + data
    return out[: len(out) - cut]


def runs(w, h, four, plain=False):
    """Run-length coded indices, with moves and pixels one by one unless plain."""
    top, out = 16 if four else 256, b""
    for y in range(h):
        x = 0
        while x < w:
            n = min(w - x, int(r.integers(1, 9)))
            kind = 0 if plain else r.integers(0, 4)
            if kind == 1 and n >= 3:
                v = r.integers(0, top, n).tolist()
                b = bytes([v[i] << 4 | (v[i + 1] if i + 1 < n else 0) for i in range(0, n, 2)]) if four else bytes(v)
                out += bytes([0, n]) + b + b"\0" * (len(b) % 2)
            elif kind == 2 and x + n < w:
                out += bytes([0, 2, n, 0])
            else:
                out += bytes([n, int(r.integers(0, 256))])
            x += n
        out += b"\0\0"
    return out + b"\0\1"


def row(name, data):
    out = {"name": name, "file": base64.b64encode(data).decode()}
    try:
        a = convert_to_rgb(Image.open(io.BytesIO(data)), return_numpy=True)
        out |= {"w": a.shape[1], "h": a.shape[0], "sha256": hashlib.sha256(a.tobytes()).hexdigest()}
    except Exception:  # Pillow refuses with several types
        pass
    return out


def greys(n, step=1):
    return b"".join(bytes([i * step] * 3 + [0]) for i in range(n))


def kinds():
    for w, h in ((13, 7), (16, 3), (1, 1), (33, 2)):
        for bits in (1, 4, 8, 16, 24, 32):
            yield f"{bits} bits, {w}x{h}", bmp(w, h, bits)
    for bits in (1, 4, 8, 16, 24, 32):
        yield f"{bits} bits, top down", bmp(13, 7, bits, down=True)
        yield f"{bits} bits, OS/2 1", bmp(13, 7, bits, size=12)
        yield f"{bits} bits, OS/2 2", bmp(13, 7, bits, size=64)
        yield f"{bits} bits, without an offset", bmp(13, 7, bits, no_offset=True)
        yield f"{bits} bits, last padding cut", bmp(13, 7, bits, cut=-((13 * bits + 7) // 8) % 4)
        yield f"{bits} bits, short of a byte", bmp(12, 7, bits, cut=4)
    for name, m in MASKS.items():
        for size in (40, 52, 56, 108, 124):
            for bits in (16, 24, 32):
                if (max(m) < 1 << bits) and (bits == 16) == (max(m) < 1 << 16):
                    yield f"{bits} bits, masks {name}, header of {size}", bmp(5, 4, bits, 3, size, m)
    for n in (1, 2, 3, 100, 255):
        yield f"8 bits, {n} colours", bmp(13, 7, 8, colours=n)
    yield "4 bits, 5 colours", bmp(13, 7, 4, colours=5)
    yield "4 bits, 20 colours", bmp(13, 7, 4, colours=20)
    yield "8 bits, 300 colours", bmp(13, 7, 8, colours=300)
    yield "8 bits, palette not counted", bmp(13, 7, 8, count_palette=False)
    yield "24 bits with a palette", bmp(13, 7, 24, colours=4, palette=noise(16))
    yield "8 bits, greys in order", bmp(13, 7, 8, palette=greys(256))
    yield "8 bits, 9 greys in order", bmp(13, 7, 8, colours=9, palette=greys(9))
    yield "1 bit, black and white", bmp(13, 7, 1, colours=2, palette=greys(2, 255))
    yield "1 bit, white and black", bmp(13, 7, 1, colours=2, palette=greys(2, 255)[4:] + greys(1))
    yield "1 bit, black", bmp(13, 7, 1, colours=1, palette=greys(1))
    yield "4 bits, greys in order", bmp(13, 7, 4, palette=greys(16))
    for four in (False, True):
        bits, comp = (4, 2) if four else (8, 1)
        for w, h in ((13, 7), (16, 3), (1, 4), (40, 2)):
            yield f"runs of {bits} bits, {w}x{h}", bmp(w, h, bits, comp, data=runs(w, h, four))
        yield f"runs of {bits} bits, top down", bmp(13, 7, bits, comp, data=runs(13, 7, four), down=True)
        yield f"runs of {bits} bits, odd offset", bmp(13, 7, bits, comp, data=b"\0" + runs(13, 7, four))
        yield f"runs of {bits} bits, greys in order", bmp(13, 7, bits, comp, data=runs(13, 7, four), palette=greys(1 << bits))
        yield f"runs of {bits} bits, black and white", bmp(13, 7, bits, comp, data=runs(13, 7, four), colours=2, palette=greys(2, 255))
        yield f"runs of {bits} bits, too long a row", bmp(13, 7, bits, comp, data=b"\xff\x21\0\0" * 7)
        yield f"runs of {bits} bits, an early end", bmp(13, 7, bits, comp, data=b"\x0d\x21\0\0\0\1")
        yield f"runs of {bits} bits, an empty row", bmp(13, 7, bits, comp, data=b"\0\0" * 7)
        yield f"runs of {bits} bits, in a header for others", bmp(13, 7, 24, comp, data=runs(13, 7, four))
    for bits in (2, 48, 64):
        yield f"{bits} bits", bmp(13, 7, bits)
    for comp in (4, 5, 11):
        yield f"compression {comp}", bmp(13, 7, 24, comp)
    yield "a header of 16 bytes", bmp(13, 7, 24, size=16)


def random():
    """Any fields, mostly sensible ones."""
    pick = lambda *a: a[int(r.integers(0, len(a)))]
    w, h, bits = int(r.integers(1, 40)), int(r.integers(1, 12)), pick(1, 4, 8, 8, 16, 24, 32)
    size = pick(12, 40, 40, 40, 52, 56, 64, 108, 124)
    comp = pick(0, 0, 0, 3 if bits > 8 else {8: 1, 4: 2}.get(bits, 0))
    colours = pick(0, 0, int(r.integers(1, 300))) if size > 12 else 0
    palette = pick(None, greys(colours or 1 << bits)[:1024], greys(2, 255)) if bits <= 8 and size > 12 and colours <= 256 else None
    if palette is not None and len(palette) < 4 * (colours or 1 << bits):
        colours = len(palette) // 4
    data = None
    if comp in (1, 2):
        data = pick(runs(w, h, comp == 2), runs(w, h, comp == 2), noise(3 * w * h))
    masks = pick(*MASKS.values()) if comp == 3 else None
    return bmp(w, h, bits, comp, size, masks, colours, palette, pick(False, True), data, pick(True, True, False), pick(0, 0, 0, int(r.integers(0, 9))), pick(False, False, True))


if len(sys.argv) > 1:
    json.dump([row(f"random {i}", random()) for i in range(int(sys.argv[1]))], sys.stdout)
else:
    json.dump([row(n, d) for n, d in kinds()], open("images/bmp.json", "w"))
