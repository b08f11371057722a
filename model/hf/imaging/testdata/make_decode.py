"""Golden image files: what Pillow and transformers decode, upright and on white, as checksums of RGB bytes.

Needs: pip install pillow numpy transformers (made with 13.0.0, 2.4.6, 5.23.0). Run in this folder: python make_decode.py
Writes images/decoded.json: name, the file in base64, w, h, sha256. JPEG has goldens of its own in ../internal/jpeg.
"""
import base64, hashlib, io, json, struct, warnings, zlib
import numpy as np
from PIL import Image, ImageOps
from transformers.image_transforms import convert_to_rgb

warnings.simplefilter("ignore")
r = np.random.default_rng(2)
rows = []


def put(name, data):
    im = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    a = convert_to_rgb(im, return_numpy=True)
    rows.append({"name": name, "file": base64.b64encode(data).decode(), "w": a.shape[1], "h": a.shape[0], "sha256": hashlib.sha256(a.tobytes()).hexdigest()})


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(depth, ct, trns=None, plte=None, interlace=0, extra=b"", w=13, h=11):
    """A PNG of any kind, with random samples, a third of them the transparent colour."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[ct]
    a = r.integers(0, 1 << depth if ct != 3 else len(plte) // 3, (h, w, channels))
    if trns and ct in (0, 2):
        a[::3, ::2] = struct.unpack(">%dH" % channels, trns)

    def pack(a):
        out = b""
        for row in a:
            flat = row.ravel()
            if depth == 16:
                d = flat.astype(">u2").tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in flat)
                bits += "0" * (-len(bits) % 8)
                d = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
            out += b"\0" + d
        return out

    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if interlace else [(0, 0, 1, 1)]
    raw = b"".join(pack(a[y::dy, x::dx]) for x, y, dx, dy in passes)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, ct, 0, 0, interlace)) + extra +
            (chunk(b"PLTE", plte) if plte else b"") + (chunk(b"tRNS", trns) if trns else b"") + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


pal = bytes(r.integers(0, 256, 48, dtype=np.uint8).tolist())
for il in (0, 1):
    for d in (1, 2, 4, 8, 16):
        put(f"png grey {d} {il}", png(d, 0, interlace=il))
        put(f"png grey {d} with a transparent value {il}", png(d, 0, trns=struct.pack(">H", 1), interlace=il))
    for d in (8, 16):
        put(f"png RGB {d} {il}", png(d, 2, interlace=il))
        put(f"png RGB {d} with a transparent colour {il}", png(d, 2, trns=struct.pack(">HHH", 7, 9, 200), interlace=il))
        put(f"png LA {d} {il}", png(d, 4, interlace=il))
        put(f"png RGBA {d} {il}", png(d, 6, interlace=il))
    for d in (1, 2, 4, 8):
        p = pal[:3 * min(16, 1 << d)]
        put(f"png palette {d} {il}", png(d, 3, plte=p, interlace=il))
        put(f"png palette {d} half transparent {il}", png(d, 3, plte=p, trns=bytes([0, 128]), interlace=il))
        put(f"png palette {d} with a transparent entry {il}", png(d, 3, plte=p, trns=bytes([255, 0]), interlace=il))
put("png RGB 16 with a transparent colour of equal bytes", png(16, 2, trns=struct.pack(">HHH", 0x0707, 0x0909, 0x1111)))
put("png with gamma", png(8, 2, extra=chunk(b"gAMA", struct.pack(">I", 45455))))


def pic(w, h):
    y, x = np.mgrid[0:h, 0:w]
    return Image.fromarray(np.clip(np.stack([127 + 120 * np.sin(x / (9 + k) + k) * np.cos(y / (11 - k)) for k in range(3)], -1) + r.normal(0, 9, (h, w, 3)), 0, 255).astype(np.uint8))


def save(im, fmt, **kw):
    b = io.BytesIO()
    im.save(b, fmt, **kw)
    return b.getvalue()


im, im2 = pic(21, 18), pic(21, 18)
rgba = im.copy()
rgba.putalpha(Image.fromarray(r.integers(0, 256, (18, 21), dtype=np.uint8)))
for w, h in [(21, 18), (20, 17), (1, 1), (2, 1), (1, 2), (2, 2), (3, 5), (5, 3)]:
    put(f"webp {w}x{h}", save(pic(w, h), "WEBP", quality=80))
put("webp lossless", save(im, "WEBP", lossless=True))
put("webp lossless alpha", save(rgba, "WEBP", lossless=True))
put("webp alpha", save(rgba, "WEBP", quality=60))
for lossless in (False, True):
    put(f"webp animated, lossless {lossless}", save(im, "WEBP", save_all=True, append_images=[im2], duration=50, lossless=lossless))
    put(f"webp animated alpha, lossless {lossless}", save(rgba, "WEBP", save_all=True, append_images=[im2], duration=50, lossless=lossless))
small = im.quantize(20)
put("gif", save(small, "GIF"))
put("gif animated", save(small, "GIF", save_all=True, append_images=[im2.quantize(20)], duration=50))
put("gif transparent", save(small, "GIF", transparency=3))
put("gif interlaced", save(small, "GIF", interlace=1))
for m in ("1", "L", "RGB", "RGBA"):
    put(f"bmp {m}", save(rgba.convert(m), "BMP"))
put("bmp P", save(small, "BMP"))
put("png animated", save(im, "PNG", save_all=True, append_images=[im2]))
for o in range(1, 9):
    e = Image.Exif()
    e[0x0112] = o
    for fmt in ("JPEG", "PNG", "WEBP"):
        put(f"{fmt} orientation {o}", save(pic(9, 6), fmt, exif=e))
    put(f"RGBA PNG orientation {o}", save(rgba.crop((0, 0, 7, 4)), "PNG", exif=e))
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{o}"/></x:xmpmeta>'.encode()
    put(f"JPEG XMP orientation {o}", save(pic(9, 6), "JPEG", xmp=xmp))
e = Image.Exif()
e[0x0112] = 9
put("JPEG orientation 9", save(pic(9, 6), "JPEG", exif=e))
json.dump(rows, open("images/decoded.json", "w"))
