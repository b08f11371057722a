"""Loads a model folder written by this project with transformers and compares the logits.

    python check_saved.py DIR    # a folder that holds, beside the model, check.safetensors

check.safetensors holds input_ids [1, T] (I32), logits [T, vocab] and, for prompts with images,
pixel_values [images, 3, H, W]. Prints the largest absolute difference; fails above 1e-4.
"""
import os
import sys

import torch
import transformers
from safetensors.torch import load_file
from transformers import LlavaForConditionalGeneration

torch.set_num_threads(1)
folder = sys.argv[1]
check = load_file(os.path.join(folder, "check.safetensors"))
model, info = LlavaForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
bad = {k: v for k, v in info.items() if v and k in ("missing_keys", "unexpected_keys", "mismatched_keys")}
assert not bad, bad
model = model.float().eval()
ids = check["input_ids"].long().reshape(1, -1)
with torch.no_grad():
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=check.get("pixel_values")).logits[0]
diff = float((logits - check["logits"]).abs().max())
print(f"transformers {transformers.__version__}: max |delta logits| {diff:.3g} over {tuple(logits.shape)}")
sys.exit(diff > 1e-4)
