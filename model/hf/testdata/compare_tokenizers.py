"""Compares `vgid tokenize` with the reference library, string by string, on 100,000 strings a tokenizer.

Needs: pip install tokenizers. Run: python compare_tokenizers.py VGID FOLDER… [--texts FILE.jsonl] [--count N]
FOLDER holds a tokenizer.json. Texts are every string found in FILE's lines of JSON. Prints differences and, for
both programs on one thread, the time to encode all strings (vgid's includes reading and writing the lines).
"""
import argparse, json, os, random, subprocess, tempfile, time

from tokenizers import Tokenizer

# Blocks whose characters Unicode 15 knows; later additions are out of the claim.
BLOCKS = [(0, 0x7f), (0x80, 0x24f), (0x300, 0x36f), (0x391, 0x3a1), (0x3b1, 0x3c9), (0x400, 0x52f), (0x5d0, 0x5ea), (0x600, 0x6ff), (0x900, 0x97f),
          (0xe01, 0xe3a), (0xf00, 0xf47), (0x10d0, 0x10ff), (0x1100, 0x11ff), (0x1e00, 0x1eff), (0x2000, 0x2064), (0x20a0, 0x20bf), (0x2100, 0x21ff),
          (0x2460, 0x24ff), (0x2600, 0x27bf), (0x3000, 0x30ff), (0x3400, 0x34ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xe000, 0xe0ff), (0xf900, 0xfa6d),
          (0xfb00, 0xfb06), (0xfdd0, 0xfdef), (0xfe00, 0xfe0f), (0xff01, 0xffee), (0xfff9, 0xffff), (0x10400, 0x1044f), (0x1d400, 0x1d454),
          (0x1f1e6, 0x1f1ff), (0x1f300, 0x1f64f), (0x1f900, 0x1f9ff), (0x20000, 0x200ff), (0x2f800, 0x2fa1d), (0xe0001, 0xe0001), (0xe0020, 0xe007f),
          (0x10fff0, 0x10ffff)]
PIECES = ["\n", "\n\n", "\r\n", "\t", " ", "  ", "     ", " \n ", "\u00a0", "\u200b", "\u200d", "\ufeff", "\u2028", "\x00", "\x1b", "\x7f", "\u0085", "'s", "'LL",
          "it's", "don't", "ſ", "123", "1234567890", "3.14", "½", "٣٤", "①", "...", "!?", "=>", "//", "{}", "__init__", "def f(x):\n    return x\n", "<b>",
          "👩‍👩‍👧", "🏳️‍🌈", "🇱🇻", "👍🏽", "é", "e\u0301", "ﬁ", "Å", "ẛ̣", "İ", "ß", "Σς", "日本語", "中文。", "한국어", "العربية", "עברית", "हिन्दी", "ไทย", "Привет",
          "Ελλάδα", "naïve", "Łódź", "▁", "▁▁", "Ġ", "Ċ", "<0x41>", "##ing", "http://a.b/c?d=e", "C:\\x", "\\n", "\"", "don", "word", "Word", "the", "of", "and"]


def strings(extra, texts, count):
    r = random.Random(2024)
    pool = PIECES + extra
    words = [w for t in texts[:2000] for w in t.split()] or "the person in the picture is a doctor from Riga".split()

    def chars(k):
        lo, hi = r.choice(BLOCKS)
        return "".join(chr(r.randint(lo, hi)) for _ in range(k))

    out = list(texts[:count // 4])
    while len(out) < count:
        kind = r.randrange(8)
        if kind < 3:
            s = "".join(r.choice(pool) for _ in range(r.randint(1, 14)))
        elif kind == 3:
            s = "".join(chars(r.randint(1, 6)) for _ in range(r.randint(1, 6)))
        elif kind == 4:
            s = r.choice(pool) * r.randint(1, 60)
        elif kind == 5:
            s = "".join(r.choice([chars(2), r.choice(pool), r.choice(words), " "]) for _ in range(r.randint(1, 20)))
        else:
            s = "".join(r.choice(words) + r.choice([" ", " ", " ", ", ", ". ", "\n", "  "]) for _ in range(r.randint(1, 40)))
        out.append(s)
    return out


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
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for folder in a.folders:
        tok = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        added = [t.content for t in tok.get_added_tokens_decoder().values()][:12]
        data = strings(added + [f" {t} " for t in added], texts, a.count)
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
                want = [tok.encode(s).ids for s in data]
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
            n = sum(len(s.encode()) for s in data) / 1e6
            print(f"{folder}: {len(data)} strings, {n:.1f} MB: {bad} encoded and {undone} decoded differently; "
                  f"one thread: vgid {ours:.2f} s, reference {theirs:.2f} s, ratio {theirs / ours:.2f}", flush=True)


main()
