#!/usr/bin/env bash
# transformers 5.23.0 with tokenizers 0.23.3: the mask of assistant tokens is empty, or runs over the user's
# turns, when the blank at the border of an answer is a token of its own.
#
# apply_chat_template(..., return_assistant_tokens_mask=True) marks what stands between {% generation %} and
# {% endgeneration %}, the tokens a model is trained on (assistant-only losses are built on it). It looks for the
# first and the last character of the answer with char_to_token. A byte-level post-processor with
# trim_offsets=True, which is its default and what GPT-2, RoBERTa and Llama 3 files have, gives a token that is one
# blank an empty span, so that no token holds that character:
#   - a leading blank: char_to_token is None, which is taken for truncation, and the loop ends: no token of this
#     answer or any later one is marked. The loss of such a conversation has no terms.
#   - a trailing blank: the end is None, which is taken for "to the end": the user's next question is marked too.
# With trim_offsets=False the same conversation is marked as written. Nothing warns in either case.
#
# Seen: see EXPECTED below. Exit status 0 while this is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q transformers==5.23.0 tokenizers==0.23.3 jinja2==3.1.6
cat > "$tmp/mask.py" <<'PY'
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

TURNS = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"},
         {"role": "user", "content": "c?"}, {"role": "assistant", "content": "d"}]


def marked(trim, answer):
    """The text of the tokens that the mask selects, for answers written as the Jinja expression says."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    t = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.post_processor = processors.ByteLevel(trim_offsets=trim)
    t.decoder = decoders.ByteLevel()
    f = PreTrainedTokenizerFast(tokenizer_object=t)
    f.chat_template = ("{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% generation %}{{ "
                       + answer + " }}{% endgeneration %}{% else %} {{ m.content }} {% endif %}{% endfor %}")
    out = f.apply_chat_template(TURNS, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    return f.decode([i for i, m in zip(out["input_ids"], out["assistant_masks"]) if m])


for name, answer in (("leading blank", "' ' + m.content"), ("trailing blank", "m.content + ' '")):
    for trim in (False, True):
        print(f"{name}, trim_offsets={trim}: {marked(trim, answer)!r}")
PY
cat > "$tmp/expected" <<'EXPECTED'
leading blank, trim_offsets=False: ' b d'
leading blank, trim_offsets=True: ''
trailing blank, trim_offsets=False: 'b d '
trailing blank, trim_offsets=True: 'b user: c? assistant:d '
EXPECTED
"$tmp/env/bin/python" "$tmp/mask.py" 2>/dev/null | tee "$tmp/seen"
diff "$tmp/expected" "$tmp/seen" && echo 'as stated'
