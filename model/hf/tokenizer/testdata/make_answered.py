"""Golden answers: ids of prompt + answer as one text, and which token is the first of the answer.

Needs: pip install tokenizers (as make_tokenizers.py does). Run in this folder: python make_answered.py
Writes answered.json.gz: name -> list of [prompt, answer, ids, first]. The first token of the answer is found by
offsets, as char_to_token of transformers finds it: the first token that reaches beyond the prompt's end.
"""
import gzip, json, random

from tokenizers import Tokenizer

NAMES = ["gpt2", "roberta", "qwen", "llama3", "llama2", "meta", "unigram", "unigram-bytes", "wordpiece", "wordlevel", "gemma", "llama2-first"]
# How turns end in templates people use: a word and a colon, the same with a blank, a line's end, a special token, two of them.
PROMPTS = ["USER: Where does she work?\nASSISTANT:", "USER: Where does she work?\nASSISTANT: ", "<|im_start|>assistant\n", "Q: what?\n\nA:\n\n", "<s>hi</s>",
           "[INST] what city [/INST]", "<image>\nname:", "x", "", "price: $75,", "it", "one  ", "tab\t", "12", "naïve caf", "<image>", "e", "don'"]
# How answers begin: a blank, several, a line's end, a digit, punctuation, a special token, a mark that joins what is before it, nothing.
ANSWERS = [" She works in Riga.", "She works in Riga.", "  two blanks", "\nnext line", "\n\n", "34 May", " 34", ".", ", then", "'s", "…", "<s>", "</s> tail", " <image>", "<image>",
           "", " ", "\u0301 accent", "é", "日本語", " 😀", "s", "000", "\t", "person's name is Amelia", "<|im_end|>", "\u00a0hard blank"]


def first_token(enc, prompt):
    for i, (a, b) in enumerate(enc.offsets):
        if not enc.special_tokens_mask[i] and b > len(prompt) and b > a:
            return i
    return None


out = {}
r = random.Random(3)
for name in NAMES:
    # Offsets that leave out blanks would make a token that is one blank nobody's.
    tok = Tokenizer.from_str(open(f"{name}/tokenizer.json").read().replace('"trim_offsets":true', '"trim_offsets":false'))
    tok.no_truncation(), tok.no_padding()
    rows = []
    pairs = [(p, a) for p in PROMPTS for a in ANSWERS]
    pairs += [(r.choice(PROMPTS) + r.choice(ANSWERS) + r.choice(PROMPTS), r.choice(ANSWERS) + r.choice(PROMPTS)) for _ in range(200)]
    for p, a in pairs:
        enc = tok.encode(p + a)
        first = first_token(enc, p)
        rows.append([p, a, enc.ids, -1 if first is None else first])
    out[name] = rows
with open("answered.json.gz", "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
    z.write(json.dumps(out, ensure_ascii=True, separators=(",", ":")).encode())
