"""How far two releases of Pillow are apart when they resize. Run it once with each, then compare:

    python compare_resize.py a.npz      (with one release)
    python compare_resize.py b.npz      (with the other)
    python compare_resize.py a.npz b.npz

Needs pillow and numpy. The pictures are drawn: waves with sharp edges and a little noise, and noise alone.
"""
import sys
import numpy as np

SHAPES = [((640, 427), (644, 420)), ((640, 480), (644, 476)), ((500, 375), (504, 364)), ((640, 427), (336, 224)), ((427, 640), (420, 644))]

if len(sys.argv) == 3:
    a, b = np.load(sys.argv[1]), np.load(sys.argv[2])
    for k in a:
        d = np.abs(a[k].astype(int) - b[k])
        print(f"{k}: at most {d.max()} levels, {100 * (d > 0).mean():.1f} % of the bytes differ, {100 * (d > 1).mean():.3f} % by more than 1")
    sys.exit()

import PIL
from PIL import Image

r = np.random.default_rng(5)


def waves(w, h):
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([127 + 60 * np.sin(x / (17 + 3 * k) + k) * np.cos(y / (23 - 2 * k)) + 40 * np.sign(np.sin(x / 5 + y / (7 + k))) for k in range(3)], -1)
    return np.clip(a + r.normal(0, 12, (h, w, 3)), 0, 255).astype(np.uint8)


def noise(w, h):
    return r.integers(0, 256, (h, w, 3), dtype=np.uint8)


out = {}
for draw in (waves, noise):
    for size, to in SHAPES:
        for name in ("BICUBIC", "BILINEAR"):
            out[f"{draw.__name__} {size} to {to} {name}"] = np.asarray(Image.fromarray(draw(*size)).resize(to, Image.Resampling[name]))
np.savez(sys.argv[1], **out)
print("Pillow", PIL.__version__)
