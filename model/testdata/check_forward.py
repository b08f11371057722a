"""Compares a file of `vgid forward` with transformers on the same model folder.

    python check_forward.py MODEL FILE [ADAPTER]

Feeds the file's input_ids, pixel_values and labels to the model (with ADAPTER, a PEFT folder, on it)
and compares logits and, where the file has them, loss and every gradient. The relative error of a
tensor is max|delta| / max|ref|; fails above 1e-4 for logits and loss, 1e-3 for gradients.
"""
import json
import os
import sys

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig

torch.set_num_threads(1)
folder, file = sys.argv[1:3]
got = load_file(file)
config = AutoConfig.from_pretrained(folder)
with open(os.path.join(folder, "config.json")) as f:
    model = getattr(transformers, json.load(f)["architectures"][0]).from_pretrained(folder).float().eval()
given = {k: got[k] for k in ("input_ids", "labels", "pixel_values", "image_grid_thw") if k in got}
given["attention_mask"] = torch.ones_like(given["input_ids"])
if "image_grid_thw" in given and int(transformers.__version__.split(".")[0]) >= 5:
    given["mm_token_type_ids"] = (given["input_ids"] == config.image_token_id).long()


def error(a, b):
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-30))


def own_name(name):
    """transformers 5 in memory -> the folder's and the adapter's own names."""
    if name.startswith("base_model."):
        return name.replace(".default.weight", ".weight")
    if config.model_type == "llava":
        for new, old in (("lm_head", "language_model.lm_head"), ("model.language_model.", "language_model.model."),
                         ("model.vision_tower.", "vision_tower.vision_model."), ("model.", "")):
            if name.startswith(new):
                return old + name[len(new):]
    return name.replace("model.language_model.", "model.", 1).replace("model.visual.", "visual.", 1)


if len(sys.argv) > 3:
    from peft import PeftModel
    model = PeftModel.from_pretrained(model, sys.argv[3], is_trainable=True).eval()
out = model(**given)
worst = error(got["logits"], out.logits[0].detach())
said, bad = f"logits {worst:.2g}", worst > 1e-4
grads = {k: v for k, v in got.items() if k.startswith("grad.")}
if grads:
    out.loss.backward()
    loss = error(got["loss"], out.loss.detach().reshape(1))
    # A shift of all keys does not reach the softmax where there are no rotary positions: both are noise around zero.
    ref = {"grad." + own_name(n): p.grad for n, p in model.named_parameters() if p.grad is not None}
    silent = {k for k, v in ref.items() if float(v.abs().max()) < 1e-7}
    assert set(grads) - silent == set(ref) - silent, sorted(set(grads) ^ set(ref))[:4]
    each = {k: error(v, ref[k]) for k, v in grads.items() if k not in silent}
    name = max(each, key=each.get)
    said += f", loss {loss:.2g}, {len(each)} gradients {each[name]:.2g} (worst: {name[5:]})"
    bad |= loss > 1e-4 or each[name] > 1e-3
print(f"transformers {transformers.__version__}: relative errors: {said}")
sys.exit(bad)
