#!/usr/bin/env bash
# transformers 5.23.0 with peft 0.21.2: a DoRA adapter that transformers loads itself is not the one that was trained.
# Its magnitude vectors are left out.
#
# PEFT writes them as ….lora_magnitude_vector and renames them to ….lora_magnitude_vector.default.weight when
# PeftModel.from_pretrained reads them. transformers' own way, model.load_adapter(DIR) and so also
# AutoModelForCausalLM.from_pretrained(ADAPTER DIR), inserts the adapter's name but not ".weight": the load report lists
# the stored vectors as UNEXPECTED ("can be ignored when loading from different task/architecture") and the module's as
# MISSING ("newly initialized"), no error is raised, and the model answers with the base weights' norms in their place.
# Plain LoRA, rslora, biases, rank patterns, saved modules, PiSSA and OLoRA adapters loaded this way were right.
#
# Seen (torch 2.9.1, a tiny random Llama): logits of the trained model against the loaded one, as a share of the
# largest: PeftModel 0, load_adapter and AutoModel both above 0.01. Exit status 0 while this is so, 1 when it changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q torch==2.9.1 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 numpy==2.3.5
cat > "$tmp/dora.py" <<'PY'
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                             num_key_value_heads=2, initializer_range=0.3)).save_pretrained("base")
base = lambda: LlamaForCausalLM.from_pretrained("base")
ids = torch.tensor([[1, 5, 9, 14]])
trained = get_peft_model(base(), LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["q_proj", "v_proj"])).eval()
with torch.no_grad():
    for w in trained.parameters():
        if w.requires_grad:
            w.add_(0.1 * torch.randn(w.shape))
    want = trained(input_ids=ids).logits
    trained.save_pretrained("adapter")
    loaded = base()
    loaded.load_adapter("adapter")
    ways = {"PeftModel": PeftModel.from_pretrained(base(), "adapter"), "load_adapter": loaded, "AutoModel": AutoModelForCausalLM.from_pretrained("adapter")}
    off = {name: float((m.eval()(input_ids=ids).logits - want).abs().max() / want.abs().max()) for name, m in ways.items()}
print(", ".join(f"{name} off by {x:.2g}" for name, x in off.items()))
assert off["PeftModel"] < 1e-6 and off["load_adapter"] > 0.01 and off["AutoModel"] > 0.01
print("as stated")
PY
cd "$tmp" && env/bin/python dora.py 2>/dev/null
