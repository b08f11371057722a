#!/usr/bin/env bash
# transformers 5.23.0 with peft 0.21.2: a merged model saved into the folder of its own adapter is loaded with the
# adapter applied a second time.
#
# merge_and_unload() followed by save_pretrained(DIR) writes a complete model: config.json and model.safetensors. When
# DIR is the folder that the adapter was saved to, which is where a run's output usually goes, adapter_config.json and
# adapter_model.safetensors stay beside it. from_pretrained(DIR) takes the full weights of DIR as the base, not the base
# that adapter_config.json names, and then adds the adapter that it finds there. One would expect either the merged
# model or base plus adapter, which are the same function; what is loaded is base plus twice the adapter. Both the auto
# class and the model's own class do it, and nothing is said.
# For unlearning, twice the update is another point on the trade-off: it looks as if more was forgotten and more was
# broken than training did. It also differs from what any other loader of the same folder evaluates.
#
# Seen (torch 2.9.1, a tiny random Llama): change of the logits relative to those of the merged model: 0 from a folder
# of its own, above 0.05 from the adapter's folder; against the base with the adapter at scale 2 below 1e-5.
# Exit status 0 while this is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q torch==2.9.1 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 numpy==2.3.5
cat > "$tmp/twice.py" <<'PY'
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                             num_key_value_heads=2, initializer_range=0.3)).save_pretrained("base")
ids = torch.tensor([[1, 5, 9, 14]])


def base():
    return LlamaForCausalLM.from_pretrained("base")


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


trained = get_peft_model(base(), LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
with torch.no_grad():
    for w in trained.parameters():
        if w.requires_grad:
            w.add_(0.1 * torch.randn(w.shape))
trained.save_pretrained("run")
doubled = PeftModel.from_pretrained(base(), "run")
for module in doubled.modules():
    if hasattr(module, "scale_layer"):
        module.scale_layer(2)

merged = trained.merge_and_unload()
want, twice = logits(merged), logits(doubled)
merged.save_pretrained("run")
merged.save_pretrained("alone")


def off(got, other):
    return float((got - other).abs().max() / other.abs().max())


alone = logits(AutoModelForCausalLM.from_pretrained("alone"))
beside = {"AutoModelForCausalLM": logits(AutoModelForCausalLM.from_pretrained("run")),
          "LlamaForCausalLM": logits(LlamaForCausalLM.from_pretrained("run"))}
print(f"merged model from a folder of its own: off by {off(alone, want):.2g}")
assert off(alone, want) == 0
for name, got in beside.items():
    print(f"{name} from the adapter's folder: off by {off(got, want):.2g}; from the base with twice the adapter {off(got, twice):.1e}")
    assert off(got, want) > 0.05 and off(got, twice) < 1e-5
print("as stated")
PY
cd "$tmp" && env/bin/python twice.py 2>/dev/null
