"""The tokenizers library's side of `vgid bench tokenize`; needs: pip install tokenizers.

    python bench_tokenize.py TOKENIZER.json TEXTS PARTS

TEXTS has a JSON string a line, PARTS parts of equally many lines. Prints a line of JSON about the library, then
answers lines of standard input: "CALL PART" encodes a part by that call, on a tokenizer that only this call uses,
and prints its times; "ids FILE" writes the ids of all texts, a JSON list a line. How many threads encode_batch
uses is told by TOKENIZERS_PARALLELISM and RAYON_NUM_THREADS.
"""
import json
import sys
import time

import tokenizers
from tokenizers import Tokenizer


def load(path):
    tok = Tokenizer.from_file(path)
    tok.no_truncation()
    tok.no_padding()
    return tok


def say(**what):
    print(json.dumps(what), flush=True)


def main():
    path, texts, parts = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(texts, encoding="utf-8") as f:
        texts = [json.loads(line) for line in f]
    size = len(texts) // parts
    toks = {call: load(path) for call in ("encode", "encode_batch", "encode_batch_fast")}
    say(version=tokenizers.__version__)
    for line in sys.stdin:
        call, what = line.split(maxsplit=1)
        if call == "ids":
            with open(what.rstrip("\n"), "w") as f:
                for e in load(path).encode_batch(texts):
                    f.write(json.dumps(e.ids) + "\n")
            say()
            continue
        part, tok = texts[int(what) * size:(int(what) + 1) * size], toks[call]
        # The encodings are kept: giving them back is no part of the work.
        wall, cpu = time.perf_counter(), time.process_time()
        done = [tok.encode(t) for t in part] if call == "encode" else getattr(tok, call)(part)
        say(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu, texts=len(done))


main()
