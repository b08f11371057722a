#!/usr/bin/env bash
# transformers 5.23.0: save_pretrained in shards over an earlier save of one file leaves that file, and from_pretrained
# goes on loading it: the model that was saved last is on disk in full and is not the one that comes back.
#
# save_pretrained removes what an earlier save left when it was in shards; a model.safetensors is not removed, and where
# both lie in a folder the loader takes it before model.safetensors.index.json. Whether a save is one file or many
# depends on max_shard_size alone, so two scripts with another setting (50GB is the default, 5GB was that of version 4)
# are enough. The other order is right: one file over shards removes the shards and wins.
# For unlearning this is the worst of stale files: the model that "has forgotten", saved over the one that had not,
# answers like the one that had not, and no metric tells a failed method from a file that was never read.
# Programs that look for the index first read the new weights from the same folder.
#
# Seen (torch 2.9.1, tiny random Llamas): see EXPECTED below. Exit status 0 while this is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q torch==2.9.1 transformers==5.23.0 numpy==2.3.5
cat > "$tmp/stale.py" <<'PY'
import os
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
config = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
old, new = LlamaForCausalLM(config), LlamaForCausalLM(config)
ONE_FILE, SHARDS = {}, {"max_shard_size": "20KB"}


def same(a, b):
    b = b.state_dict()
    return all(torch.equal(w, b[name]) for name, w in a.state_dict().items())


for name, first, second in (("one file, then shards", ONE_FILE, SHARDS), ("shards, then one file", SHARDS, ONE_FILE),
                            ("one file, then one file", ONE_FILE, ONE_FILE), ("shards, then shards", SHARDS, {"max_shard_size": "40KB"})):
    folder = name.replace(" ", "_")
    old.save_pretrained(folder, **first)
    new.save_pretrained(folder, **second)
    got = AutoModelForCausalLM.from_pretrained(folder)
    files = [f for f in os.listdir(folder) if f.endswith(".safetensors")]
    which = "the old" if same(got, old) else "the new" if same(got, new) else "neither"
    print(f"{name}: {'model.safetensors' in files and 'one file' or 'no single file'} and {sum('-of-' in f for f in files)} shards, {which} model is loaded")
PY
cat > "$tmp/expected" <<'EXPECTED'
one file, then shards: one file and 6 shards, the old model is loaded
shards, then one file: one file and 0 shards, the new model is loaded
one file, then one file: one file and 0 shards, the new model is loaded
shards, then shards: no single file and 3 shards, the new model is loaded
EXPECTED
cd "$tmp"
env/bin/python stale.py 2>/dev/null | tee seen
diff expected seen && echo 'as stated'
