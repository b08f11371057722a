"""Checks by hand that PEFT loads an adapter folder written by this package.

Usage: python check_adapter.py DIR, with an adapter of r 4 on q_proj of a LlamaModel
of width 16, one layer, two heads, whose lora_A is all 0.5 and lora_B all 0.25.
"""
import sys

import torch
from peft import PeftModel
from transformers import LlamaConfig, LlamaForCausalLM

torch.set_num_threads(1)
base = LlamaForCausalLM(LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2))
before = base.model.layers[0].self_attn.q_proj.weight.clone()
model = PeftModel.from_pretrained(base, sys.argv[1])
merged = model.merge_and_unload()
delta = merged.model.layers[0].self_attn.q_proj.weight - before
cfg = model.peft_config["default"]
want = cfg.lora_alpha / cfg.r * 4 * 0.5 * 0.25
assert torch.allclose(delta, torch.full_like(delta, want), atol=1e-6), delta
print("ok: delta", want)
