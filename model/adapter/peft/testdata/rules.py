"""Writes rules.json: which modules PEFT picks for many adapter configs.

Usage: python rules.py   (torch 2.9.1, transformers 5.23.0, peft 0.21.2)

For tiny models of two families: every module's path and whether it is a linear
layer other than the head; and for each config the picked modules with their
rank and alpha, and the modules trained as a whole, all as indices of paths.
"""
import json
import os
import warnings

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils.other import ModulesToSaveWrapper
from transformers import (CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, Qwen2_5_VLConfig,
                          Qwen2_5_VLForConditionalGeneration)

warnings.filterwarnings("ignore")
torch.manual_seed(0)


def llava():
    return LlavaForConditionalGeneration(LlavaConfig(
        text_config=LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, vocab_size=40),
        vision_config=CLIPVisionConfig(hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
                                       image_size=8, patch_size=4, projection_dim=8),
        image_token_index=39))


def qwen():
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(
        text_config=dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                         num_key_value_heads=1, vocab_size=40,
                         rope_scaling=dict(type="mrope", mrope_section=[1, 1, 2])),
        vision_config=dict(depth=2, hidden_size=8, intermediate_size=16, num_heads=2, out_hidden_size=16, patch_size=4),
        image_token_id=39, video_token_id=38, vision_start_token_id=37, vision_end_token_id=36))


CONFIGS = [
    dict(target_modules=["q_proj", "v_proj"]),
    dict(target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]),
    dict(target_modules=["proj"]),
    dict(target_modules=["self_attn.q_proj", "qkv", "linear_1"]),
    dict(target_modules=["model.language_model.layers.1.mlp.up_proj", "q_proj"], layers_to_transform=0),
    dict(target_modules=["q_proj", "fc1"], layers_to_transform=[0, 1]),
    dict(target_modules=["q_proj", "fc1", "qkv"], layers_to_transform=[1], layers_pattern="layers"),
    dict(target_modules=["q_proj", "qkv"], layers_to_transform=[1], layers_pattern=["blocks", "layers"]),
    dict(target_modules=["q_proj", "lm_head"], layers_to_transform=[]),
    dict(target_modules="all-linear"),
    dict(target_modules="all-linear", exclude_modules=["q_proj", "linear_2"]),
    dict(target_modules="ALL-linear", exclude_modules=r".*(vision_tower|visual).*"),
    dict(target_modules="all-linear", layers_to_transform=[0]),
    dict(target_modules=r".*\.q_proj"),
    dict(target_modules=r"^(?!.*(?:visual|vision_tower)).*(?:q_proj|k_proj)$"),
    dict(target_modules=r"model\.language_model\.layers\.(?P<n>[02])\.self_attn\.(?:q|v)_proj"),
    dict(target_modules=r"(?i).*\.Q_PROJ"),
    dict(target_modules=r"q_proj|.*\.o_proj"),
    dict(target_modules=["q_proj"], exclude_modules=["model.language_model.layers.0.self_attn.q_proj"]),
    dict(target_modules=["q_proj", "o_proj"], exclude_modules=r".*layers\.1\..*"),
    dict(target_modules=["q_proj", "v_proj"], rank_pattern={"layers.0.self_attn.q_proj": 2, "q_proj": 3, r".*\.1\..*v_proj": 5}),
    dict(target_modules=["q_proj", "v_proj"], rank_pattern={"q_proj": 3, "layers.0.self_attn.q_proj": 2}, alpha_pattern={"v_proj": 32, r"layers\.[12]\..*": 7}),
    dict(target_modules=["q_proj", "v_proj"], rank_pattern={"proj": 3, "^model.*.layers.1.self_attn.v_proj": 6}),
    dict(target_modules=["q_proj", "lm_head"], modules_to_save=["embed_tokens"]),
    dict(target_modules="all-linear", modules_to_save=["lm_head", "embed_tokens"]),
    dict(target_modules=["linear", "q_proj", "linear_1"], modules_to_save=["multi_modal_projector"]),
    dict(target_modules=["q_proj", "k_proj"], modules_to_save=["q_proj"]),
    dict(target_modules=["q_proj"], modules_to_save=["norm"]),
]

out = []
for family, make in (("llava", llava), ("qwen2_5_vl", qwen)):
    model = make()
    head = model.get_output_embeddings()
    paths = [n for n, _ in model.named_modules() if n]
    index = {n: i for i, n in enumerate(paths)}
    modules = dict(model.named_modules())
    cases = []
    for config in CONFIGS:
        model = make()
        case = dict(config=config)
        try:
            peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, **config))
        except ValueError as e:
            case["error"] = str(e).split(".")[0]
            cases.append(case)
            continue
        picked, saved = [], []
        for name, m in peft.base_model.model.named_modules():
            if isinstance(m, LoraLayer):
                picked.append([index[name], m.r["default"], m.lora_alpha["default"]])
            if isinstance(m, ModulesToSaveWrapper):
                saved.append(index[name])
        case.update(picked=picked, saved=saved)
        cases.append(case)
    out.append(dict(
        family=family, paths=paths, cases=cases,
        linear=[index[n] for n, m in modules.items() if isinstance(m, torch.nn.Linear) and m is not head],
        # Modules PEFT cannot attach a branch to are an error there, so the rules are asked about these only.
        leaves=[index[n] for n, m in modules.items() if isinstance(m, (torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv2d, torch.nn.Conv3d))],
    ))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules.json"), "w") as f:
    json.dump(out, f, separators=(",", ":"))
