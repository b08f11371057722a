"""Golden pictures: what Pillow and transformers' image processors (PIL backend) make of PNG files and drawn pictures.

Needs: pip install pillow numpy transformers (made with 13.0.0, 2.4.6, 5.23.0). Run in this folder: python make_images.py
Writes images/*.png (inputs), and what becomes of them: resize.json, cmyk.json, processors.json, smart_resize.json.
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



def drawn(w, h):
    """A picture of any size that the test draws the same (drawn in image_test.go)."""
    x, y, c = np.arange(w)[None, :, None], np.arange(h)[:, None, None], np.arange(3)[None, None, :]
    return Image.fromarray((((x * 3 + y * 5 + c * 40) ^ (x * y >> 4)) & 255).astype(np.uint8))


def source(name):
    if ":" in name:
        return drawn(*map(int, name.split(":")[1].split("x")))
    return Image.open(f"images/{name}.png")


def sha(a):
    return hashlib.sha256(a if isinstance(a, bytes) else np.ascontiguousarray(a).tobytes()).hexdigest()


FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
rows = []
for n in names:
    rgb = source(n).convert("RGB")
    rows.append({"image": n, "resample": -1, "w": rgb.width, "h": rgb.height, "sha256": sha(rgb.tobytes())})
    for f in FILTERS.values():
        for w, h in [(32, 32), (7, 5), (rgb.width, 50), (11, rgb.height), (200, 150), (1, 1)]:
            rows.append({"image": n, "resample": f, "w": w, "h": h, "sha256": sha(rgb.resize((w, h), f).tobytes())})
# Both orders of the passes and the border between them (verticalFirst in resize.go).
for size, to in [("40x100", (30, 80)), ("40x101", (30, 80)), ("40x99", (30, 80)), ("30x100", (40, 99)), ("30x100", (40, 101)),
                 ("640x480", (336, 252)), ("480x640", (252, 336)), ("1x900", (3, 7)), ("900x1", (7, 3))]:
    for f in (1, 2, 3):
        rows.append({"image": "drawn:" + size, "resample": f, "w": to[0], "h": to[1], "sha256": sha(drawn(*map(int, size.split("x"))).resize(to, f).tobytes())})
json.dump(rows, open("images/resize.json", "w"))

cmyk = []
for v in r.integers(0, 256, (200, 4)):
    im = Image.new("CMYK", (1, 1), tuple(int(x) for x in v))
    cmyk.append([int(x) for x in v] + list(im.convert("RGB").getpixel((0, 0))))
json.dump(cmyk, open("images/cmyk.json", "w"))

# What the processors (PIL backend) make of pictures: checksums of the float32 values, and a few to look at.
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil  # noqa: E402
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil  # noqa: E402
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil  # noqa: E402

CLIP, LLAVA, QWEN = CLIPImageProcessorPil, LlavaImageProcessorPil, Qwen2VLImageProcessorPil
SIZES = ["drawn:%dx%d" % s for s in [(1, 1), (1, 40), (40, 1), (3, 200), (61, 83), (336, 336), (337, 335), (640, 480), (1000, 31), (1200, 1900)]]
jobs = [
    (CLIP, {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}, names),
    (CLIP, {"size": {"height": 28, "width": 20}, "do_center_crop": False, "resample": 2}, names),
    (CLIP, {"do_resize": False, "crop_size": {"height": 35, "width": 32}}, names),
    (CLIP, {"size": {"shortest_edge": 17}, "crop_size": {"height": 18, "width": 21}, "do_normalize": False}, names),
    (CLIP, {"size": 16, "crop_size": 16, "image_mean": [.5, .5, .5], "image_std": [.5, .25, .5], "resample": 1}, names),
    (CLIP, {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}, SIZES + ["drawn:1x3000"]),
    (LLAVA, {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}, "do_pad": True}, names + SIZES),
    (QWEN, {}, ["rgb", "rgba", "drawn:337x335", "drawn:1200x1900", "drawn:2x399", "drawn:400x2"]),
    (QWEN, {"min_pixels": 784, "max_pixels": 40000}, names + ["drawn:337x335", "drawn:1200x1900", "drawn:42x70", "drawn:70x42", "drawn:1x1", "drawn:1x200", "drawn:600x3"]),
    (QWEN, {"size": {"shortest_edge": 1024, "longest_edge": 9216}, "patch_size": 4, "merge_size": 4, "temporal_patch_size": 3,
            "image_mean": [.5, .4, .3], "image_std": [.5, .25, .5]}, names + ["drawn:100x37"]),
    (QWEN, {"min_pixels": 100, "max_pixels": 20000, "patch_size": 4, "merge_size": 1, "temporal_patch_size": 1, "resample": 2}, names + ["drawn:100x37"]),
    (QWEN, {"do_resize": False}, ["drawn:84x56"]),
]
rows = []
for cls, cfg, images in jobs:
    proc = cls(**cfg)
    saved = {k: v for k, v in json.loads(proc.to_json_string()).items() if v is not None}  # as save_pretrained writes it
    written = {**cfg, "image_processor_type": cls.__name__.removesuffix("Pil")}
    for n in images:
        out = proc(source(n), return_tensors="np")
        px = out["pixel_values"] if cls is QWEN else out["pixel_values"][0]
        px = px.astype(np.float32)
        flat = px.ravel()
        rows.append({"config": written if len(rows) % 2 else saved, "image": n, "shape": list(px.shape),
                     "grid": out["image_grid_thw"][0].tolist() if cls is QWEN else None,
                     "sha256": sha(px), "sample": [float(x) for x in flat[:: max(1, flat.size // 8)]]})
json.dump(rows, open("images/processors.json", "w"))

# Qwen's smart resize alone, over many sizes.
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize  # noqa: E402

rows = []
for factor, lo, hi in [(28, 3136, 12845056), (28, 784, 1003520), (16, 256, 4096), (32, 65536, 16777216)]:
    for _ in range(400):
        h, w = (int(2 ** r.uniform(0, 13)) for _ in range(2))
        if r.random() < .3:
            h, w = (h // (factor // 2) * (factor // 2) or 1, w // (factor // 2) * (factor // 2) or 1)  # halves, rounded to even
        if max(h, w) <= 200 * min(h, w):
            rows.append([factor, lo, hi, h, w, *smart_resize(h, w, factor, lo, hi)])
json.dump(rows, open("images/smart_resize.json", "w"))
