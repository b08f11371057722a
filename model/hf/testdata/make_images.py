"""Golden pictures: what Pillow and transformers' CLIP image processor make of small PNG files.

Needs: pip install pillow numpy transformers. Run in this folder: python make_images.py
Writes images/*.png (inputs), images/resize.json (results as checksums and samples), images/clip.json.
"""
import hashlib, json, os
import numpy as np
from PIL import Image

os.makedirs("images", exist_ok=True)
r = np.random.default_rng(3)


def smooth(h, w, c):
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([127 + 120 * np.sin(x / (5 + k) + k) * np.cos(y / (7 - k)) for k in range(c)], -1)
    return np.clip(a + r.normal(0, 12, a.shape), 0, 255).astype(np.uint8)


inputs = {
    "rgb": Image.fromarray(smooth(61, 83, 3)), "noise": Image.fromarray(r.integers(0, 256, (40, 29, 3), dtype=np.uint8)),
    "rgba": Image.fromarray(smooth(33, 40, 4)), "grey": Image.fromarray(smooth(37, 31, 1)[..., 0]),
    "la": Image.fromarray(smooth(20, 31, 2), "LA"), "tiny": Image.fromarray(r.integers(0, 256, (1, 3, 3), dtype=np.uint8)),
    "palette": Image.fromarray(smooth(30, 30, 3)).quantize(17), "bilevel": Image.fromarray(smooth(19, 23, 1)[..., 0]).convert("1"),
}
p = Image.fromarray(smooth(24, 24, 3)).quantize(9)
p.save("images/palette_alpha.png", transparency=bytes([0, 128, 255]))
for n, im in inputs.items():
    im.save(f"images/{n}.png")
names = sorted(inputs) + ["palette_alpha"]

FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4}
rows = []
for n in names:
    rgb = Image.open(f"images/{n}.png").convert("RGB")
    rows.append({"image": n, "resample": -1, "w": rgb.width, "h": rgb.height, "sha256": hashlib.sha256(rgb.tobytes()).hexdigest()})
    for f in FILTERS.values():
        for w, h in [(32, 32), (7, 5), (rgb.width, 50), (11, rgb.height), (200, 150), (1, 1)]:
            # One axis at a time: Pillow 13 chooses the order of the passes by shape.
            out = rgb.resize((w, rgb.height), f).resize((w, h), f)
            rows.append({"image": n, "resample": f, "w": w, "h": h, "sha256": hashlib.sha256(out.tobytes()).hexdigest()})
json.dump(rows, open("images/resize.json", "w"))

cmyk = []
for v in r.integers(0, 256, (200, 4)):
    im = Image.new("CMYK", (1, 1), tuple(int(x) for x in v))
    cmyk.append([int(x) for x in v] + list(im.convert("RGB").getpixel((0, 0))))
json.dump(cmyk, open("images/cmyk.json", "w"))

from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil  # noqa: E402

rows = []
for cfg in [{"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}},
            {"size": {"height": 28, "width": 20}, "do_center_crop": False, "resample": 2},
            {"do_resize": False, "crop_size": {"height": 35, "width": 32}},
            {"size": {"shortest_edge": 17}, "crop_size": {"height": 18, "width": 21}, "do_normalize": False},
            {"size": {"shortest_edge": 16}, "crop_size": 16, "image_mean": [.5, .5, .5], "image_std": [.5, .25, .5], "resample": 1}]:
    proc = CLIPImageProcessorPil(**cfg)
    for n in ["rgb", "noise", "rgba", "grey", "palette"]:
        px = proc(Image.open(f"images/{n}.png"), return_tensors="np")["pixel_values"][0]
        flat = px.astype(np.float64).ravel()
        rows.append({"config": cfg, "image": n, "shape": list(px.shape), "sum": float(flat.sum()), "sumsq": float((flat ** 2).sum()),
                     "sample": [float(x) for x in flat[:: max(1, flat.size // 60)]]})
json.dump(rows, open("images/clip.json", "w"))
