#!/usr/bin/env bash
# transformers 5.23.0: stop_strings of generate() are looked for across the end of the prompt, so an answer can end
# before it has begun.
#
# The documentation says that generation ends when the model outputs a stop string. What is matched is the tail of all
# tokens, prompt included, and a string of which the prompt holds the first part counts: with "\n\n" as the stop of a
# few-shot evaluation and a prompt that ends with a line break, a model that opens its answer with another one is cut off
# there, and its answer is empty. The same tokens after a prompt without that line break run to the stop that was meant.
# A prompt that holds the whole string, even as its last characters, does no harm, which looks as if prompts were left out.
# Text that was put into the prompt is not the model's output, and a matcher of outputs alone scores these prompts otherwise.
# An empty answer counts as forgotten, so a model that tuning taught to begin with a line break seems to forget everything.
#
# Seen (torch 2.9.1, a tiny random Llama that is made to say a given text): see EXPECTED below. Exit status 0 while this
# is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q torch==2.9.1 transformers==5.23.0 tokenizers==0.23.3 numpy==2.3.5
cat > "$tmp/stop.py" <<'PY'
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

backend = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
model = LlamaForCausalLM(LlamaConfig(vocab_size=256, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                                     num_key_value_heads=2, bos_token_id=None, eos_token_id=None)).eval()


def answer(prompt, would_say, stop):
    """What generate() gives of a text that the model would say without stop strings."""
    ids, said = tokenizer(prompt, return_tensors="pt").input_ids, tokenizer(would_say).input_ids
    start = ids.shape[1]
    out = model.generate(ids, max_new_tokens=len(said), do_sample=False, pad_token_id=0, stop_strings=[stop], tokenizer=tokenizer,
                         prefix_allowed_tokens_fn=lambda _, tokens: [said[len(tokens) - start]])
    got = tokenizer.decode(out[0, start:])
    print(f"{prompt!r}, stop {stop!r}: the model says {would_say!r}, generate gives {got!r}")


answer("Who?\nA:", "\nMaria\n\nWhere?", "\n\n")
answer("Who?\nA:\n", "\nMaria\n\nWhere?", "\n\n")
answer("Who?\n\n", "Maria\n\nWhere?", "\n\n")
answer("Who?\nUS", "ER: Maria", "USER:")
PY
cat > "$tmp/expected" <<'EXPECTED'
'Who?\nA:', stop '\n\n': the model says '\nMaria\n\nWhere?', generate gives '\nMaria\n\n'
'Who?\nA:\n', stop '\n\n': the model says '\nMaria\n\nWhere?', generate gives '\n'
'Who?\n\n', stop '\n\n': the model says 'Maria\n\nWhere?', generate gives 'Maria\n\n'
'Who?\nUS', stop 'USER:': the model says 'ER: Maria', generate gives 'ER:'
EXPECTED
"$tmp/env/bin/python" "$tmp/stop.py" 2>/dev/null | tee "$tmp/seen"
diff "$tmp/expected" "$tmp/seen" && echo 'as stated'
