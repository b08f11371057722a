"""Loads a model folder written by this project with transformers, and the adapter beside it with
PEFT, and compares the logits.

    python check_saved.py DIR             # a folder that holds, beside the model, check.safetensors
    python check_saved.py DIR ADAPTER     # ADAPTER on the base model it names is the model of DIR

check.safetensors holds (all F32) input_ids [1, T], logits [T, vocab], for prompts with images
pixel_values and, where the family has it, image_grid_thw, and adapter.logits for DIR/adapter.
Prints the largest relative error, max|delta| / max|ref|; fails above 1e-4.
"""
import json
import os
import sys

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig

torch.set_num_threads(1)
folder = sys.argv[1]
check = load_file(os.path.join(folder, "check.safetensors"))
config = AutoConfig.from_pretrained(folder)
with open(os.path.join(folder, "config.json")) as f:
    cls = getattr(transformers, json.load(f)["architectures"][0])
model, info = cls.from_pretrained(folder, output_loading_info=True)
bad = {k: v for k, v in info.items() if v and k in ("missing_keys", "unexpected_keys", "mismatched_keys")}
assert not bad, bad
model = model.float().eval()
ids = check["input_ids"].long().reshape(1, -1)
given = dict(input_ids=ids, attention_mask=torch.ones_like(ids))
for k in ("pixel_values", "image_grid_thw"):
    if k in check:
        given[k] = check[k].long() if k == "image_grid_thw" else check[k]
if "image_grid_thw" in given and int(transformers.__version__.split(".")[0]) >= 5:
    given["mm_token_type_ids"] = (ids == config.image_token_id).long()


def compare(what, model, want):
    with torch.no_grad():
        logits = model(**given).logits[0].float()
    error = float((logits - want).abs().max() / want.abs().max())
    print(f"transformers {transformers.__version__}: {what}: relative error of the logits {error:.2g} over {tuple(logits.shape)}")
    return error > 1e-4


failed = compare("model", model, check["logits"])
if "adapter.logits" in check and config.model_type == "llava" and int(transformers.__version__.split(".")[0]) < 5:
    # The tower's modules have other paths in memory there, so PEFT finds no place for their branches.
    print(f"transformers {transformers.__version__}: adapter NOT COMPARED: it reaches into the vision tower, whose paths transformers 5 changed")
elif "adapter.logits" in check:
    from peft import PeftModel
    failed |= compare("adapter", PeftModel.from_pretrained(model, os.path.join(folder, "adapter")), check["adapter.logits"])
if len(sys.argv) > 2:
    from peft import PeftConfig, PeftModel
    base = cls.from_pretrained(PeftConfig.from_pretrained(sys.argv[2]).base_model_name_or_path).float().eval()
    failed |= compare("adapter on its base", PeftModel.from_pretrained(base, sys.argv[2]), check["logits"])
sys.exit(failed)
