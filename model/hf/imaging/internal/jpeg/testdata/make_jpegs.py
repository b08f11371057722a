"""Golden JPEG files: what Pillow (libjpeg-turbo) decodes, as checksums of its bytes.

Needs: pip install pillow numpy, and cjpeg of libjpeg-turbo for the samplings Pillow does not write
(made with Pillow 13.0.0 and its libjpeg-turbo 3.2.0). Run in this folder: python make_jpegs.py
Writes jpegs.json: name, the file in base64, space (1 grey, 3 RGB, 4 CMYK as stored), sha256 of the pixels.
"""
import base64, hashlib, io, json, subprocess, tempfile
import numpy as np
from PIL import Image

r = np.random.default_rng(11)
rows = []


def pic(w, h, kind):
    y, x = np.mgrid[0:h, 0:w]
    if kind == 0:
        a = np.stack([127 + 120 * np.sin(x / (9 + k) + k) * np.cos(y / (11 - k)) for k in range(3)], -1) + r.normal(0, 4, (h, w, 3))
    elif kind == 1:
        a = r.integers(0, 256, (h, w, 3))
    else:
        a = np.where(((x // 7 + y // 5) % 2 == 0)[..., None], [250, 10, 30], [5, 200, 240]) + 0 * x[..., None]
    return Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))


def put(name, data):
    im = Image.open(io.BytesIO(data))
    space = {"L": 1, "RGB": 3, "CMYK": 4}[im.mode]
    raw = im.tobytes()
    if space == 4:
        raw = bytes(255 - v for v in raw)  # Pillow inverts
    rows.append({"name": name, "file": base64.b64encode(data).decode(), "w": im.width, "h": im.height, "space": space,
                 "sha256": hashlib.sha256(raw).hexdigest()})


def save(im, **kw):
    b = io.BytesIO()
    im.save(b, "JPEG", **kw)
    return b.getvalue()


for i, (w, h) in enumerate([(1, 1), (2, 3), (5, 4), (17, 16), (33, 47), (64, 40)]):
    im = pic(w, h, i % 3)
    for ss, name in [(0, "444"), (1, "422"), (2, "420")]:
        put(f"{w}x{h} {name}", save(im, quality=60 + 5 * i, subsampling=ss))
        put(f"{w}x{h} {name} progressive", save(im, quality=90 - 9 * i, subsampling=ss, progressive=True))
    put(f"{w}x{h} restarts", save(im, quality=75, restart_marker_blocks=2))
    put(f"{w}x{h} RGB", save(im, quality=75, keep_rgb=True))
    put(f"{w}x{h} grey", save(im.convert("L"), quality=75))
    put(f"{w}x{h} grey progressive", save(im.convert("L"), quality=20, progressive=True))
    cmyk = save(im.convert("CMYK"), quality=75, subsampling=i % 3)
    put(f"{w}x{h} CMYK", cmyk)
    at = cmyk.index(b"Adobe") + 11  # the transform: the same data read as YCCK
    put(f"{w}x{h} YCCK", cmyk[:at] + b"\x02" + cmyk[at + 1:])
    with tempfile.NamedTemporaryFile(suffix=".ppm") as f:
        f.write(b"P6 %d %d 255\n" % (w, h) + im.tobytes())
        f.flush()
        for s in ["1x2", "4x1", "1x1,2x1,1x1", "2x2,1x2,2x1", "4x2"]:
            for more in [], ["-progressive"]:
                put(f"{w}x{h} sampling {s} {' '.join(more)}".strip(), subprocess.run(["cjpeg", "-quality", "80", "-sample", s, *more, f.name], capture_output=True, check=True).stdout)
json.dump(rows, open("jpegs.json", "w"))
