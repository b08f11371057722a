#!/usr/bin/env bash
# torch 2.9.1, gloo: all_reduce with MAX or MIN loses a NaN, or loses everything but the NaN, depending on which rank
# had it and on how many elements the tensor has.
#
# torch.maximum, torch.amax and MAX over one process all give NaN where an operand is NaN, and so does a sum over ranks.
# Between ranks gloo keeps whichever operand its comparison leaves, and the ranks are combined one after another: the
# NaN of one rank survives, that of another is replaced by the next rank's value. Worse, a finite value before the NaN
# in the chain is dropped with it: of 1, 2 and 3, with the second a NaN, the answer is 1. A tensor that is long enough is cut
# into one piece per rank, each with its own order, so one tensor of NaNs comes back NaN in a part and finite in the rest.
# All ranks get the same wrong answer, which keeps them in step and hides it.
# "Is any rank's loss NaN?" and the largest gradient norm are asked with MAX on one element. With a gradient ascent that
# diverges on one rank it is luck whether the job stops. Asking isfinite first and reducing the flag as a number is right.
#
# Seen: see EXPECTED below; bfloat16 is the same. Exit status 0 while this is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q torch==2.9.1 numpy==2.3.5
cat > "$tmp/nan.py" <<'PY'
import sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

NAN = float("nan")


def worker(rank, ranks, store, results):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    seen = {}
    for size in (1, 12):
        for dtype in (torch.float32, torch.bfloat16):
            for who in range(ranks):
                for op in ("MAX", "MIN", "SUM"):
                    t = torch.full((size,), NAN if rank == who else rank + 1.0, dtype=dtype)
                    dist.all_reduce(t, op=getattr(dist.ReduceOp, op))
                    seen[size, str(dtype), who, op] = [f"{x:g}" for x in t.tolist()]
    results.put(seen)
    dist.barrier()
    dist.destroy_process_group()


def short(values):
    """nan nan 3 3 3 as '2 x nan, 3 x 3'."""
    runs = []
    for v in values:
        if runs and runs[-1][1] == v:
            runs[-1][0] += 1
        else:
            runs.append([1, v])
    return ", ".join(v if len(values) == 1 else f"{n} x {v}" for n, v in runs)


if __name__ == "__main__":
    for ranks in (2, 3):
        results = mp.get_context("spawn").SimpleQueue()
        mp.spawn(worker, (ranks, f"{sys.argv[1]}/store{ranks}", results), nprocs=ranks)
        every = [results.get() for _ in range(ranks)]
        assert all(e == every[0] for e in every), "ranks differ"
        for (size, dtype, who, op), got in every[0].items():
            if dtype == "torch.bfloat16":
                assert got == every[0][size, "torch.float32", who, op], (size, who, op)
            elif op == "SUM":
                assert got == ["nan"] * size
            else:
                values = ["nan" if r == who else str(r + 1) for r in range(ranks)]
                print(f"{op} of {' '.join(values)}, {size} element{'s' * (size > 1)}: {short(got)}")
    print("torch.maximum and torch.minimum:", float(torch.maximum(torch.tensor(1.0), torch.tensor(NAN))), float(torch.minimum(torch.tensor(NAN), torch.tensor(1.0))))
PY
cat > "$tmp/expected" <<'EXPECTED'
MAX of nan 2, 1 element: nan
MIN of nan 2, 1 element: nan
MAX of 1 nan, 1 element: 1
MIN of 1 nan, 1 element: 1
MAX of nan 2, 12 elements: 6 x nan, 6 x 2
MIN of nan 2, 12 elements: 6 x nan, 6 x 2
MAX of 1 nan, 12 elements: 6 x 1, 6 x nan
MIN of 1 nan, 12 elements: 6 x 1, 6 x nan
MAX of nan 2 3, 1 element: nan
MIN of nan 2 3, 1 element: nan
MAX of 1 nan 3, 1 element: 1
MIN of 1 nan 3, 1 element: 1
MAX of 1 2 nan, 1 element: 2
MIN of 1 2 nan, 1 element: 1
MAX of nan 2 3, 12 elements: 4 x nan, 8 x 3
MIN of nan 2 3, 12 elements: 4 x nan, 4 x 2, 4 x 3
MAX of 1 nan 3, 12 elements: 4 x 1, 4 x nan, 4 x 3
MIN of 1 nan 3, 12 elements: 4 x 1, 4 x nan, 4 x 1
MAX of 1 2 nan, 12 elements: 8 x 2, 4 x nan
MIN of 1 2 nan, 12 elements: 4 x 1, 4 x 2, 4 x nan
torch.maximum and torch.minimum: nan nan
EXPECTED
"$tmp/env/bin/python" "$tmp/nan.py" "$tmp" 2>/dev/null | grep -v '^\[Gloo\]' | tee "$tmp/seen"
diff "$tmp/expected" "$tmp/seen" && echo 'as stated'
