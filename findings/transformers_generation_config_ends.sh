#!/usr/bin/env bash
# transformers 5.23.0: a generation_config.json that does not name the end token switches off the one of config.json.
#
# Without the file, generate() makes a generation config from config.json and ends an answer at its eos_token_id. With
# a file that sets something else, or nothing, config.json's end token is not looked at any more: every answer runs to
# max_new_tokens, the text of the next turns behind it. Adding a file with a temperature to a folder is enough. For an
# evaluation it is no error but a worse model: ROUGE and exact matches fall, since answers go on.
#
# Seen (torch 2.9.1, a tiny random Llama whose first greedy token is its end token): new tokens of at most 8: 1 without
# the file, 8 with an empty one and with one of other settings, 1 with one that names the token. Exit status 0 while so.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q torch==2.9.1 transformers==5.23.0 numpy==2.3.5
cat > "$tmp/ends.py" <<'PY'
import json, os
import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                                     num_key_value_heads=2, initializer_range=0.3, bos_token_id=1, eos_token_id=2))
ids = torch.tensor([[1, 5, 9]])
end = model.generate(ids, max_new_tokens=1, do_sample=False, eos_token_id=None)[0, -1].item()
model.config.eos_token_id = model.generation_config.eos_token_id = end
model.save_pretrained("m")
assert json.load(open("m/config.json"))["eos_token_id"] == end


def tokens(name, content):
    path = "m/generation_config.json"
    if content is None:
        os.path.exists(path) and os.remove(path)
    else:
        json.dump(content, open(path, "w"))
    n = LlamaForCausalLM.from_pretrained("m").generate(ids, max_new_tokens=8, do_sample=False).shape[1] - ids.shape[1]
    print(f"{name}: {n} new tokens")


tokens("no generation_config.json", None)
tokens("an empty one", {})
tokens("one with a repetition penalty", {"repetition_penalty": 1.0})
tokens("one that names the end token", {"eos_token_id": end})
PY
cat > "$tmp/expected" <<'EXPECTED'
no generation_config.json: 1 new tokens
an empty one: 8 new tokens
one with a repetition penalty: 8 new tokens
one that names the end token: 1 new tokens
EXPECTED
cd "$tmp"
env/bin/python ends.py 2>/dev/null | tee seen
diff expected seen && echo 'as stated'
