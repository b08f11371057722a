"""Golden folders: what AutoImageProcessor of transformers (PIL backend) makes of a picture in folders whose files disagree.

Needs: pip install pillow numpy torch transformers (made with 13.0.0, 2.4.6, 2.9.1, 5.23.0). Run in this folder: python make_folders.py
Writes images/folders.json: a list of {"files": {name: content}, "shape", "grid", "sha256"} or with "error" instead. The picture
is drawn(83, 61) of image_test.go.
"""
import hashlib, json, logging, os, tempfile, warnings

import numpy as np
from PIL import Image
from transformers import AutoImageProcessor

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

SMALL = dict(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
OTHER = dict(size={"shortest_edge": 20}, crop_size={"height": 28, "width": 28}, image_mean=[0.1, 0.2, 0.3])
CLIP, LLAVA, QWEN = ({"image_processor_type": t + "ImageProcessor"} for t in ("CLIP", "Llava", "Qwen2VL"))
PIXELS, FEWER = dict(size={"shortest_edge": 784, "longest_edge": 40000}), dict(size={"shortest_edge": 784, "longest_edge": 3136})
nested = lambda **f: {"image_processor": f, "processor_class": "LlavaProcessor"}
config = lambda t: {"model_type": t}
N, P, C = "processor_config.json", "preprocessor_config.json", "config.json"

folders = [
    # Both files: the nested one, all of it; a file without it, or with null, counts for nothing.
    {N: nested(**CLIP, **SMALL), P: {**CLIP, **OTHER}}, {N: nested(**CLIP, **OTHER), P: {**CLIP, **SMALL}},
    {N: nested(**CLIP), P: {**CLIP, **SMALL}}, {N: {"patch_size": 14}, P: {**CLIP, **SMALL}}, {N: {"image_processor": None}, P: {**CLIP, **SMALL}},
    {N: nested(**CLIP, **SMALL)}, {P: {**CLIP, **SMALL}}, {N: {**CLIP, **SMALL}}, {N: {"patch_size": 14}}, {C: config("llava")},
    {N: nested(**QWEN, **FEWER), P: {**QWEN, **PIXELS}}, {N: nested(**QWEN, **PIXELS), P: {**QWEN, "min_pixels": 784, "max_pixels": 3136}},
    {N: nested(**QWEN, **PIXELS, min_pixels=784, max_pixels=3136)}, {N: nested(**QWEN), P: {**QWEN, **FEWER}},
    {N: nested(**LLAVA, **SMALL, do_pad=True), P: {**CLIP, **SMALL}}, {N: nested(**CLIP, **SMALL), P: {**LLAVA, **SMALL, "do_pad": True}},
    # The class: by its name in the same part, else by the model.
    {N: nested(**SMALL), P: {**LLAVA, **OTHER}, C: config("llava")}, {P: {**SMALL, "do_pad": True}, C: config("llava")}, {P: SMALL, C: config("llava")},
    {N: nested(), C: config("qwen2_vl")}, {P: PIXELS, C: config("qwen2_vl")}, {P: FEWER, C: config("qwen2_5_vl")}, {N: nested(), P: {**QWEN, **FEWER}, C: config("qwen2_5_vl")},
    {P: {"feature_extractor_type": "CLIPFeatureExtractor", **SMALL}}, {P: {"feature_extractor_type": "CLIPFeatureExtractor", **LLAVA, **SMALL, "do_pad": True}},
    {P: {"image_processor_type": "CLIPImageProcessorFast", **SMALL}}, {P: {"image_processor_type": "Qwen2VLImageProcessorFast", **FEWER}},
    {P: {**CLIP, **SMALL}, C: config("qwen2_vl")}, {P: {**QWEN, **FEWER}, C: config("llava")}, {P: SMALL},
    # Fields of one file that say the same thing.
    {P: {**QWEN, **PIXELS, "max_pixels": 3136}}, {P: {**QWEN, "min_pixels": 3136, "max_pixels": 9408, "size": {"min_pixels": 784, "max_pixels": 1568}}},
    {P: {**QWEN, "size": {"min_pixels": 784, "max_pixels": 1568}}}, {P: {**QWEN, "size": {"max_pixels": 1568, "shortest_edge": 784}}},
    {P: {**QWEN, "max_pixels": 3136}}, {P: {**QWEN, "min_pixels": 9408}}, {P: {**QWEN, "size": {"shortest_edge": 784}}}, {P: {**QWEN, "size": {"longest_edge": 3136}, "min_pixels": 784}},
    {P: {**QWEN, "size": None, "max_pixels": 3136}}, {P: {**QWEN, **FEWER, "min_pixels": None, "max_pixels": None}}, {P: {**QWEN, "resample": None}},
    {P: {**CLIP, "size": 28, "crop_size": 28}}, {P: {**CLIP, "size": {"height": 28, "width": 28}, "do_center_crop": False}}, {P: {**CLIP, **SMALL, "do_center_crop": None}},
    {P: {**CLIP, "size": {"shortest_edge": 28}}}, {P: {**CLIP, "crop_size": {"height": 28, "width": 28}}}, {P: {**CLIP, **SMALL, "resample": 2, "image_mean": None}},
    {P: {**CLIP, **SMALL, "do_resize": False}}, {P: {**CLIP, **SMALL, "do_rescale": False}}, {P: {**CLIP, **SMALL, "rescale_factor": 0.5}}, {P: {**CLIP, **SMALL, "do_normalize": False}},
    {P: {**CLIP, **SMALL, "do_pad": True}}, {P: {**CLIP, **SMALL, "do_pad": False}}, {P: {**LLAVA, **SMALL}}, {P: {**CLIP, **SMALL, "use_square_size": True}}, {P: {**CLIP, **SMALL, "unknown": 1}},
    {P: {**CLIP, **SMALL, "do_convert_rgb": False}}, {P: {**CLIP, **SMALL, "image_mean": 0.5, "image_std": 0.25}}, {P: {**CLIP, **SMALL, "default_to_square": True}},
    {P: {**CLIP, "size": {"shortest_edge": 28, "longest_edge": 30}, "crop_size": {"height": 28, "width": 28}}}, {P: {**CLIP, "size": 28, "crop_size": 28, "default_to_square": True}},
    {P: {**CLIP, "size": {"height": 28, "width": 20}, "crop_size": {"height": 28, "width": 20}}}, {P: {**QWEN, **FEWER, "do_resize": False}}, {P: {**QWEN, **PIXELS, "patch_size": 7, "merge_size": 4}},
    # null is no absence: a switch that is null is off, and some values must not be.
    *({P: {**CLIP, **SMALL, f: None}} for f in ("do_resize", "do_rescale", "do_normalize", "rescale_factor", "image_std", "crop_size", "size", "resample", "do_convert_rgb", "do_pad")),
    *({P: {**QWEN, **FEWER, f: None}} for f in ("do_resize", "do_rescale", "do_normalize", "rescale_factor", "image_mean", "patch_size", "merge_size", "crop_size", "do_center_crop")),
    {P: {**CLIP, **SMALL, "do_normalize": False, "image_mean": None}}, {P: {**CLIP, "size": None, "crop_size": {"height": 28, "width": 28}, "do_resize": False, "resample": None}},
    {P: {**QWEN, "size": {"shortest_edge": 784, "longest_edge": 3136, "max_pixels": 1568}}}, {P: {**QWEN, "size": {"shortest_edge": 784, "longest_edge": 3136, "max_pixels": 1568}, "max_pixels": 9408}},
    {P: {**QWEN, "size": {"height": 28, "width": 56}}}, {P: {**QWEN, "size": 784}}, {P: {**LLAVA, "size": 28, "crop_size": {"height": 28, "width": 28}, "do_pad": True, "image_mean": [0.25, 0.5, 0.75]}}, {P: {**CLIP, **SMALL, "crop_size": {"height": 28}}},
    {P: {**CLIP, "size": {"width": 28}, "crop_size": 28}}, {P: {**CLIP, "size": {"longest_edge": 28}, "crop_size": 28}}, {P: {**CLIP, "size": [28, 20], "crop_size": 28}}, {P: {**QWEN, **FEWER, "default_to_square": True}},
    {P: {**CLIP, **SMALL, "data_format": "channels_last"}}, {P: {**CLIP, **SMALL, "input_data_format": "channels_last"}}, {P: {**CLIP, **SMALL, "disable_grouping": True}}, {P: {**CLIP, **SMALL, "pad_size": {"height": 40, "width": 40}}},
]


def drawn(w, h):
    x, y, c = np.arange(w)[None, :, None], np.arange(h)[:, None, None], np.arange(3)[None, None, :]
    return Image.fromarray((((x * 3 + y * 5 + c * 40) ^ (x * y >> 4)) & 255).astype(np.uint8))


rows = []
for files in folders:
    with tempfile.TemporaryDirectory() as d:
        for name, content in files.items():
            json.dump(content, open(os.path.join(d, name), "w"))
        row = {"files": files}
        try:
            out = AutoImageProcessor.from_pretrained(d, backend="pil")(drawn(83, 61), return_tensors="np")
            px = out["pixel_values"].astype(np.float32)
            px = px if "image_grid_thw" in out else px[0]
            row |= {"shape": list(px.shape), "sha256": hashlib.sha256(np.ascontiguousarray(px).tobytes()).hexdigest()}
            if "image_grid_thw" in out:
                row["grid"] = out["image_grid_thw"][0].tolist()
        except Exception as e:
            row["error"] = (type(e).__name__ + ": " + str(e).split("\n")[0]).replace(d, "")[:110]
        rows.append(row)
with open("images/folders.json", "w") as f:
    f.write("[" + ",\n".join(map(json.dumps, rows)) + "]\n")
print(len(rows), "folders")
