"""Writes adapters that PEFT makes of the golden models, with their logits.

    python golden_adapters.py DIR    # the folder that holds golden/; writes DIR/adapters

A case holds the adapter's folder, with every value drawn at random, and golden.safetensors with the
logits of the base's padded golden batch under it. base.txt names the base. "old" adapters carry the
paths that modules had under transformers 4.
"""
import os
import shutil
import sys

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

import golden_llava

torch.set_num_threads(1)

CASES = {
    "regex_rslora_ranks": dict(base="llava_mha", config=dict(
        r=2, lora_alpha=3, use_rslora=True, target_modules=r"^(?!.*vision).*layers.*(?:q_proj|v_proj|down_proj)$",
        rank_pattern={r"layers\.0\..*": 3, "q_proj": 1}, alpha_pattern={"down_proj": 5})),
    "all_linear_excluded": dict(base="qwen25_mha", config=dict(
        r=2, lora_alpha=4, target_modules="all-linear", exclude_modules=r".*visual\.blocks\.0.*")),
    "modules_to_save": dict(base="llava_list_full", config=dict(
        r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head", "multi_modal_projector", "norm"])),
    "bias_all": dict(base="llava_list_full", config=dict(r=2, lora_alpha=4, target_modules=["down_proj", "fc1"], bias="all")),
    "bias_lora_only": dict(base="qwen25_mha", config=dict(r=2, lora_alpha=4, target_modules=["q_proj", "qkv"], bias="lora_only")),
    "layers": dict(base="qwen25_mha", config=dict(
        r=2, lora_alpha=4, target_modules=["o_proj", "up_proj"], layers_to_transform=[1], layers_pattern=["layers"])),
    "old_paths": dict(base="llava_left_old", old=True, config=dict(
        r=2, lora_alpha=4, target_modules=["q_proj", "fc2", "linear_2"], modules_to_save=["lm_head"])),
}


def batch_of(folder, config):
    gold = load_file(os.path.join(folder, "golden.safetensors"))
    batch = dict(input_ids=gold["input_ids"].long(), attention_mask=gold["attention_mask"].long(), pixel_values=gold["pixel_values"])
    if "image_grid_thw" in gold:
        batch["image_grid_thw"] = gold["image_grid_thw"].long()
        batch["mm_token_type_ids"] = (batch["input_ids"] == config.image_token_id).long()
    return batch


def main(root):
    for name, case in CASES.items():
        base = os.path.join(root, "golden", case["base"])
        folder = os.path.join(root, "adapters", name)
        shutil.rmtree(folder, ignore_errors=True)
        config = AutoConfig.from_pretrained(base)
        model = getattr(transformers, config.architectures[0]).from_pretrained(base).float().eval()
        peft = get_peft_model(model, LoraConfig(**case["config"])).eval()
        gen = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for n, p in sorted(peft.named_parameters()):
                if p.requires_grad:
                    p.add_(0.1 * torch.randn(p.shape, generator=gen))
            logits = peft(**batch_of(base, config)).logits
        peft.save_pretrained(folder)
        for f in os.listdir(folder):
            if not f.startswith("adapter_"):
                os.remove(os.path.join(folder, f))
        path = os.path.join(folder, "adapter_model.safetensors")
        if case.get("old"):
            p = "base_model.model."
            save_file({p + golden_llava.old_name(k[len(p):]): v for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
        save_file(dict(logits=logits.contiguous()), os.path.join(folder, "golden.safetensors"))
        with open(os.path.join(folder, "base.txt"), "w") as f:
            f.write(case["base"] + "\n")
        print(name, len(load_file(path)), sorted(load_file(path))[:3])


if __name__ == "__main__":
    main(sys.argv[1])
