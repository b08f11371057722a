"""Writes adapters that PEFT makes of the golden models, with their logits.

    python golden_adapters.py DIR           # the folder that holds golden/; writes DIR/adapters
    python golden_adapters.py DIR CASE …    # these alone

A case holds the adapter's folder, with every value drawn at random, and golden.safetensors with the
logits of the base's padded golden batch under it. base.txt names the base. "old" adapters carry the
paths that modules had under transformers 4. merged.safetensors of a case that has "merged" holds what
PEFT's merge_and_unload makes of the layers that no output depends on, as TYPE/NAME, with the base in that type.
"""
import os
import shutil
import sys

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

import golden_common
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
    # Stores the biases of the saved modules three times.
    "bias_all_saved": dict(base="llava_mha", config=dict(
        r=1, lora_alpha=2, target_modules=["q_proj"], bias="all", modules_to_save=["multi_modal_projector", "layer_norm1"])),
    "bias_all_merger": dict(base="qwen25_mha", config=dict(r=1, lora_alpha=2, target_modules=["q_proj"], bias="all", modules_to_save=["merger"])),
    "stored_embeddings": dict(base="llava_mha", save=dict(save_embedding_layers=True), config=dict(r=1, lora_alpha=2, target_modules=["up_proj"])),
    "stored_embeddings_tied": dict(base="llava_gqa_tied", save=dict(save_embedding_layers=True), config=dict(
        r=1, lora_alpha=2, target_modules=["up_proj"], ensure_weight_tying=True)),
    "changed_embeddings_tied": dict(base="qwen2_gqa_tied_flat", save=dict(save_embedding_layers=True), embed=True, config=dict(
        r=1, lora_alpha=2, target_modules=["up_proj"])),
    "saved_tied": dict(base="qwen25_tied_memory", config=dict(
        r=1, lora_alpha=2, target_modules=["up_proj"], modules_to_save=["embed_tokens", "lm_head"], ensure_weight_tying=True)),
    "idle_layers": dict(base="llava_mha", merged=True, config=dict(r=2, lora_alpha=4, use_rslora=True, target_modules="all-linear")),
}


def batch_of(folder, config):
    gold = load_file(os.path.join(folder, "golden.safetensors"))
    batch = dict(input_ids=gold["input_ids"].long(), attention_mask=gold["attention_mask"].long(), pixel_values=gold["pixel_values"])
    if "image_grid_thw" in gold:
        batch["image_grid_thw"] = gold["image_grid_thw"].long()
        batch["mm_token_type_ids"] = (batch["input_ids"] == config.image_token_id).long()
    return batch


def merged(base, cls, adapter, config):
    """The tower layers behind the last feature layer, merged by PEFT."""
    out = {}
    names = golden_common.disk_names(cls.from_pretrained(base), base)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        model = cls.from_pretrained(base).to(dtype)
        with torch.no_grad():
            merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
        last = f"layers.{config.vision_config.num_hidden_layers + config.vision_feature_layer + 1}."
        for n, p in merged.named_parameters():
            if "vision" in n and last in n:
                out[f"{str(dtype)[6:]}/{names[n]}"] = p.detach().clone()
    return out


def main(root, only):
    for name, case in CASES.items():
        if only and name not in only:
            continue
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
            if case.get("embed"):
                w = peft.get_input_embeddings().weight
                w.add_(0.1 * torch.randn(w.shape, generator=gen))
            logits = peft(**batch_of(base, config)).logits
        peft.save_pretrained(folder, **case.get("save", {}))
        for f in os.listdir(folder):
            if not f.startswith("adapter_"):
                os.remove(os.path.join(folder, f))
        path = os.path.join(folder, "adapter_model.safetensors")
        if case.get("old"):
            p = "base_model.model."
            save_file({p + golden_llava.old_name(k[len(p):]): v for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
        save_file(dict(logits=logits.contiguous()), os.path.join(folder, "golden.safetensors"))
        if case.get("merged"):
            save_file(merged(base, type(model), folder, config), os.path.join(folder, "merged.safetensors"))
        with open(os.path.join(folder, "base.txt"), "w") as f:
            f.write(case["base"] + "\n")
        print(name, len(load_file(path)), sorted(load_file(path))[:3])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
