#!/usr/bin/env bash
# peft 0.21.2: LoRA on a tied embedding with ensure_weight_tying=True trains one update and merges it twice.
#
# In a model whose output head is its embedding (the smaller Llama, Qwen, Gemma and SmolLM models), ensure_weight_tying
# gives embed_tokens and lm_head the same two LoRA matrices, so that the pair stays one weight. In use that is so: both
# layers work with W + d. merge_and_unload() visits both layers, though, and W is one tensor: head and embedding end up as
# W + 2d. It is the same whether target_modules names one of the two or both, and merge_adapter() does it as well. A
# warning speaks of tied weights in general and advises to untie them before merging, which is what the option was
# chosen to avoid. The adapter on disk is right.
# Embeddings are trained where a model is taught, or made to forget, names. The merged model is not the one that was
# evaluated, and an update twice as large reads as stronger forgetting and more damage.
#
# Seen (torch 2.9.1, transformers 5.23.0, a tiny random Llama): the merged weight is off W + d by 1 d and off W + 2d by 0;
# the adapter loaded again has the logits of the trained one. Exit status 0 while this is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q torch==2.9.1 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 numpy==2.3.5
cat > "$tmp/tied.py" <<'PY'
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
                             initializer_range=0.3, tie_word_embeddings=True)).save_pretrained("base")
ids = torch.tensor([[1, 5, 9, 14]])


def base():
    return LlamaForCausalLM.from_pretrained("base")


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


def off(got, want, scale):
    return float((got - want).norm() / scale.norm())


for targets in (["embed_tokens"], ["embed_tokens", "lm_head"]):
    trained = get_peft_model(base(), LoraConfig(r=2, lora_alpha=4, target_modules=targets, ensure_weight_tying=True, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for p in trained.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn(p.shape))
    embedding, head = trained.get_input_embeddings(), trained.get_output_embeddings()
    w, d = embedding.base_layer.weight.detach().clone(), embedding.get_delta_weight("default").detach().clone()
    assert torch.allclose(d, head.get_delta_weight("default"), atol=1e-6), "one update for both"
    want = logits(trained)
    trained.save_pretrained("adapter")
    again = off(logits(PeftModel.from_pretrained(base(), "adapter")), want, want)

    merged = trained.merge_and_unload()
    assert merged.lm_head.weight is merged.model.embed_tokens.weight, "still tied"
    got = merged.lm_head.weight.detach()
    once, twice, changed = off(got, w + d, d), off(got, w + 2 * d, d), off(logits(merged), want, want)
    print(f"{' and '.join(targets)}: merged weight off W + d by {once:.2f} d, off W + 2d by {twice:.2f} d; logits of the merged model off by {changed:.2f}, of the adapter loaded again by {again:.2f}")
    assert abs(once - 1) < 1e-3 and twice < 1e-3 and changed > 0.1 and again < 1e-5
print("as stated")
PY
cd "$tmp" && env/bin/python tied.py 2>/dev/null
