"""How far the torchvision image processors of transformers are from its Pillow ones, on a drawn picture.

Needs torch, torchvision, transformers, pillow and numpy. Run: python compare_torchvision.py
"""
import numpy as np
import PIL, torchvision, transformers
from PIL import Image
from transformers import CLIPImageProcessor, Qwen2VLImageProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

print("transformers", transformers.__version__, "torchvision", torchvision.__version__, "Pillow", PIL.__version__)
w, h = 640, 427
y, x = np.mgrid[0:h, 0:w]
a = np.stack([127 + 60 * np.sin(x / (17 + 3 * k) + k) * np.cos(y / (23 - 2 * k)) + 40 * np.sign(np.sin(x / 5 + y / (7 + k))) for k in range(3)], -1)
picture = Image.fromarray(np.clip(a + np.random.default_rng(5).normal(0, 12, (h, w, 3)), 0, 255).astype(np.uint8))
clip = dict(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
for vision, pil, settings in ((CLIPImageProcessor, CLIPImageProcessorPil, clip), (Qwen2VLImageProcessor, Qwen2VLImageProcessorPil, {})):
    p = pil(**settings)
    d = np.abs(vision(**settings)(picture, return_tensors="np")["pixel_values"] - p(picture, return_tensors="np")["pixel_values"])
    print(f"{vision.__name__}: at most {round(d.max() * 255 * max(p.image_std))} levels, {100 * (d > 1e-5).mean():.1f} % of the values differ")
