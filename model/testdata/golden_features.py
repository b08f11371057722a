"""Writes what PEFT makes of one feature of its adapters after the other.

    python golden_features.py DIR    # the folder that holds golden/; writes DIR/features.json.gz

name -> {config: adapter_config.json, tensors: {name: {shape, data}}, logits: of IDS, behind the last
token, by a fresh base with the folder loaded by PEFT; moved: whether loading changed the base's own
weights; error: why PEFT cannot load its own folder}. Adapters are of golden/llava_mha, every trained
value drawn at random.
"""
import gzip
import json
import os
import sys
import tempfile
import warnings

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
transformers.logging.set_verbosity_error()

IDS = [1, 5, 9, 14]
Q = dict(r=1, lora_alpha=2, target_modules=r".*language_model.*q_proj")


def lora(**kw):
    return lambda: LoraConfig(**{**Q, **{k: v() if callable(v) else v for k, v in kw.items()}})


FEATURES = {
    "plain": lora(),
    "gaussian": lora(init_lora_weights="gaussian"),
    "eva": lora(init_lora_weights="eva", eva_config=peft.EvaConfig),
    "orthogonal": lora(r=2, init_lora_weights="orthogonal"),
    "mica": lora(init_lora_weights="mica"),
    "olora": lora(init_lora_weights="olora"),
    "pissa": lora(init_lora_weights="pissa"),
    "pissa_niter": lora(init_lora_weights="pissa_niter_4"),
    "loftq": lora(init_lora_weights="loftq", loftq_config=lambda: peft.LoftQConfig(loftq_bits=8)),
    "use_rslora": lora(r=2, use_rslora=True),
    "rank_pattern": lora(rank_pattern={r"layers\.1\..*": 2}),
    "alpha_pattern": lora(alpha_pattern={"layers.0.self_attn.q_proj": 7}),
    "layers_to_transform": lora(target_modules=["q_proj"], layers_to_transform=[0], exclude_modules=r".*vision.*"),
    "bias_lora_only": lora(bias="lora_only"),
    "fan_in_fan_out": lora(fan_in_fan_out=True),
    "megatron_config": lora(megatron_config={"a": 1}),
    "ensure_weight_tying": lora(ensure_weight_tying=True),
    "modules_to_save": lora(modules_to_save=["norm"]),
    "use_dora": lora(use_dora=True),
    "lora_bias": lora(lora_bias=True, target_modules=r".*multi_modal_projector.linear_2"),
    "layer_replication": lora(layer_replication=[(0, 2), (1, 2)]),
    "trainable_token_indices": lora(trainable_token_indices=[5, 9]),
    "target_parameters": lora(target_modules=[], target_parameters=["k_proj.weight"]),
    "use_qalora": lora(use_qalora=True),
    "alora_invocation_tokens": lora(alora_invocation_tokens=[9], task_type="CAUSAL_LM"),
    "head": lora(target_modules=["lm_head"]),
    "embedding": lora(target_modules=["embed_tokens"]),
    "convolution": lora(target_modules=["patch_embedding"]),
    "ia3": lambda: peft.IA3Config(target_modules=["k_proj"], feedforward_modules=[]),
    "adalora": lambda: peft.AdaLoraConfig(target_modules=["q_proj"], total_step=10),
    "vera": lambda: peft.VeraConfig(target_modules=r".*language_model.*q_proj", r=2),
    "loha": lambda: peft.LoHaConfig(target_modules=r".*language_model.*q_proj", r=2),
    "oft": lambda: peft.OFTConfig(target_modules=r".*language_model.*q_proj", oft_block_size=4),
    "ln_tuning": lambda: peft.LNTuningConfig(target_modules=["input_layernorm"]),
    "prompt_tuning": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2),
}
for name in ("velora", "monteclora", "kasa", "arrow"):
    cls = next((getattr(peft, c) for c in dir(peft) if c.lower() == name + "config"), None)
    if cls:
        FEATURES[name + "_config"] = lora(**{name + "_config": cls})


def base(root):
    return transformers.LlavaForConditionalGeneration.from_pretrained(os.path.join(root, "golden", "llava_mha")).float().eval()


def feature(root, config):
    out, folder = {}, tempfile.mkdtemp()
    model = get_peft_model(base(root), config()).eval()
    gen = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, p in sorted(model.named_parameters()):
            if p.requires_grad:
                p.add_(0.2 * torch.randn(p.shape, generator=gen))
    model.save_pretrained(folder, save_embedding_layers=False)
    with open(os.path.join(folder, "adapter_config.json")) as f:
        out["config"] = json.load(f)
    out["config"]["base_model_name_or_path"] = "golden/llava_mha"
    out["tensors"] = {k: dict(shape=list(v.shape), data=v.float().flatten().tolist())
                      for k, v in load_file(os.path.join(folder, "adapter_model.safetensors")).items()}
    try:
        again, plain = base(root), base(root).state_dict()
        again = PeftModel.from_pretrained(again, folder).eval()
        own = {n.replace("base_model.model.", "").replace(".base_layer", ""): p for n, p in again.named_parameters()}
        out["moved"] = any(n in own and not torch.equal(p, own[n]) for n, p in plain.items() if n not in str(out["tensors"].keys()))
        with torch.no_grad():
            out["logits"] = again(input_ids=torch.tensor([IDS])).logits[0, -1].tolist()
    except Exception as e:
        out["error"] = f"{type(e).__name__}: {e}"[:200]
    return out


def main(root):
    table = {}
    for name, config in FEATURES.items():
        try:
            table[name] = feature(root, config)
            print(name, table[name].get("moved"), table[name].get("error", ""))
        except Exception as e:
            print(name, "NOT MADE:", type(e).__name__, str(e)[:150])
    with gzip.GzipFile(os.path.join(root, "features.json.gz"), "wb", mtime=0) as f:
        f.write(json.dumps(table, sort_keys=True).encode())


if __name__ == "__main__":
    main(sys.argv[1])
