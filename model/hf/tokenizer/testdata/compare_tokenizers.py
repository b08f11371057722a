"""Compares `vgid tokenize` with the reference library, string by string, on 100,000 strings a tokenizer.

Needs: pip install tokenizers. Run: python compare_tokenizers.py VGID FOLDER… [--texts FILE.jsonl] [--count N]
FOLDER holds a tokenizer.json. The strings are those of teststrings.py and every text found in FILE's lines of
JSON. Prints differences and, for both programs on one thread, the time to encode all strings: vgid's includes
reading and writing the lines, the reference's is its fastest call, encode_batch_fast. Ends with 1 on a difference.
"""
import argparse, json, os, subprocess, sys, tempfile, time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import Tokenizer

import teststrings


def every_string(v):
    if isinstance(v, str):
        yield v
    elif isinstance(v, (list, dict)):
        for x in v.values() if isinstance(v, dict) else v:
            yield from every_string(x)


def run(vgid, folder, path, env=None, *flags):
    start = time.perf_counter()
    out = subprocess.run([vgid, "tokenize", "--model", folder, "--in", path, *flags], capture_output=True, check=True, env=env).stdout
    return out.decode().split("\n")[:-1], time.perf_counter() - start


def main():
    p = argparse.ArgumentParser()
    p.add_argument("vgid")
    p.add_argument("folders", nargs="+")
    p.add_argument("--texts")
    p.add_argument("--count", type=int, default=100_000)
    a = p.parse_args()
    texts = [s for line in open(a.texts) for s in every_string(json.loads(line))] if a.texts else []
    one = dict(os.environ, GOMAXPROCS="1")
    differ = 0
    for folder in a.folders:
        path = os.path.join(folder, "tokenizer.json")
        tok = Tokenizer.from_file(path)
        tok.no_truncation()
        tok.no_padding()
        pieces = teststrings.load_pieces(path)
        data = texts + [teststrings.make_string(pieces, i) for i in range(a.count)]
        with tempfile.TemporaryDirectory() as d:
            path, empty, ids_path = (os.path.join(d, n) for n in ("texts", "empty", "ids"))
            open(path, "w").write("".join(json.dumps(s) + "\n" for s in data))
            open(empty, "w").write('""\n')
            load = min(run(a.vgid, folder, empty, one)[1] for _ in range(2))
            ours = theirs = float("inf")
            for _ in range(2):  # in turn, the better of each
                got, t = run(a.vgid, folder, path, one)
                ours = min(ours, t - load)
                start = time.perf_counter()
                want = [e.ids for e in tok.encode_batch_fast(data)]
                theirs = min(theirs, time.perf_counter() - start)
            plain, _ = run(a.vgid, folder, path, None, "--no-special")
            bad = 0
            for i, s in enumerate(data):
                w = want[i]
                w0 = tok.encode(s, add_special_tokens=False).ids
                if json.loads(got[i]) != w or json.loads(plain[i]) != w0:
                    bad += 1
                    if bad <= 5:
                        print(f"  {s!r}\n    vgid      {got[i]}\n    reference {w}")
            open(ids_path, "w").write("".join(json.dumps(w) + "\n" for w in want))
            undone = 0
            for flag, skip in ((), False), (("--no-special",), True):
                back, _ = run(a.vgid, folder, ids_path, None, "--decode", *flag)
                for i, w in enumerate(want):
                    t = tok.decode(w, skip_special_tokens=skip)
                    if json.loads(back[i]) != t:
                        undone += 1
                        if undone <= 5:
                            print(f"  decode {w}\n    vgid      {json.loads(back[i])!r}\n    reference {t!r}")
            differ += bad + undone
            n = sum(len(s.encode()) for s in data) / 1e6
            print(f"{folder}: {len(data)} strings, {n:.1f} MB: {bad} encoded and {undone} decoded differently; "
                  f"one thread: vgid {ours:.2f} s, reference {theirs:.2f} s, ratio {theirs / ours:.2f}", flush=True)
    sys.exit(differ > 0)


main()
