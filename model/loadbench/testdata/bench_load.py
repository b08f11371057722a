"""safetensors' side of `vgid bench load`; needs: pip install safetensors torch.

    python bench_load.py FOLDER safe_open|load_file|load_file_pread load|read

Loads every weight file of the folder, with read sums its bytes, too, as 64-bit words on one thread, and prints times,
memory in bytes and the sum. Importing is not timed.
"""
import json
import os
import sys
import time

import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import load_file


def memory(field):
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {field}")


def lazily(path):
    with safe_open(path, framework="pt") as f:
        return {name: f.get_tensor(name) for name in f.keys()}


CALLS = {"safe_open": lazily, "load_file": load_file, "load_file_pread": lambda path: load_file(path, backend="pread")}


def word_sum(t):
    b = t.reshape(-1).view(torch.uint8)
    whole = b.numel() // 8 * 8
    words = b[:whole]
    if words.storage_offset() % 8:
        words = words.clone()
    return int(words.view(torch.int64).sum()) + int(b[whole:].sum())


def main():
    folder, call, what = sys.argv[1:]
    torch.set_num_threads(1)
    paths = [os.path.join(folder, "model.safetensors")]
    index = paths[0] + ".index.json"
    if not os.path.exists(paths[0]):
        with open(index) as f:
            paths = sorted({os.path.join(folder, name) for name in json.load(f)["weight_map"].values()})
    before = memory("VmHWM")
    begin = time.perf_counter()
    tensors = [t for path in paths for t in CALLS[call](path).values()]
    total = sum(map(word_sum, tensors)) if what == "read" else 0
    seconds = time.perf_counter() - begin
    print(json.dumps({
        "program": f"safetensors {safetensors.__version__}, torch {torch.__version__}", "seconds": seconds, "before": before, "peak": memory("VmHWM"),
        "own": memory("RssAnon"), "tensors": len(tensors), "bytes": sum(t.nbytes for t in tensors), "sum": total % (1 << 64),
    }))


main()
