"""torch.distributed's side of `vgid bench collective`, on the gloo backend; needs: pip install torch.

    python gloo_bench.py RANK RANKS MEETING

is one rank; MEETING is a file that is not there yet. It says hello in a line of JSON when all have met. Then each
line of standard input is a task, of which the rank prints its times as JSON:

    CALL DTYPE COUNT WARM ROUNDS CHECK

COUNT is the elements of the longest buffer. What goes in, and how it is cut, is as in call.go and pattern.go.
"""
import datetime
import json
import os
import resource
import sys
import time

# Gloo prints on standard output where its ranks are.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import torch
import torch.distributed as dist

PERIOD = 7
TYPES = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16,
         "i32": torch.int32, "i64": torch.int64, "u8": torch.uint8}
EQUAL_PARTS = "gloo gathers and scatters equal parts only"
LACKS = {"all-gather-v": EQUAL_PARTS, "gather-v": EQUAL_PARTS, "scatter-v": EQUAL_PARTS}
EVERYBODY = -1


def pattern(source, n, start, dtype):
    """Two thousand periods of what the ranks put in, one of them or the sum of all, from an element on."""
    ranks = range(n) if source == EVERYBODY else [source]
    one = [sum((3 * (i % PERIOD) + 5 * r + 1) % PERIOD for r in ranks) for i in range(start, start + PERIOD)]
    return torch.tensor(one).to(dtype).repeat(2000)


def fill(buf, source, n):
    for chunk in buf.split(PERIOD * 2000):
        chunk.copy_(pattern(source, n, 0, buf.dtype)[: chunk.numel()])


def check(buf, pieces, n):
    """Compares a buffer with runs of what ranks put in: (rank, start, elements)."""
    at = 0
    for source, start, count in pieces:
        want = pattern(source, n, start, buf.dtype)
        for chunk in buf[at: at + count].split(PERIOD * 2000):
            if not torch.equal(chunk, want[: chunk.numel()]):
                i = int((chunk != want[: chunk.numel()]).nonzero()[0])
                raise ValueError(f"wrong result: element {at + i} of {buf.numel()} is {chunk[i].item()}, want {want[i].item()}")
            at += chunk.numel()


class Call:
    """A call as one rank makes it: buffers, what comes out, and do."""

    def __init__(self, name, dtype, count, rank, n):
        varying = name.endswith("-v")
        starts = [count * (r * (r + 1) // 2) // (n * (n + 1) // 2) if varying else r * (count // n) for r in range(n)] + [count]
        parts = [starts[r + 1] - starts[r] for r in range(n)]
        own, root = parts[rank], rank == 0
        gathered = [(r, 0, parts[r]) for r in range(n)]
        new = lambda k: torch.empty(k, dtype=dtype)
        left, right = (rank - 1) % n, (rank + 1) % n
        self.pieces, self.after = [], lambda: None  # after a call, and not in its time
        # Elements in, elements out (None: the same buffer), what comes out.
        if name == "all-reduce":
            self.ins, outs, self.pieces = new(count), None, [(EVERYBODY, 0, count)]
            self.do = lambda: dist.all_reduce(self.ins)
        elif name == "broadcast":
            self.ins, outs, self.pieces = new(count), None, [(0, 0, count)]
            self.do = lambda: dist.broadcast(self.ins, 0)
        elif name == "reduce":  # torch's is in place, on ranks that are not the root, too
            self.ins, outs, self.pieces = new(count), None, [(EVERYBODY, 0, count)] if root else []
            self.do = lambda: dist.reduce(self.ins, 0)
        elif name in ("reduce-scatter", "reduce-scatter-v"):
            self.ins, outs, self.pieces = new(count), own, [(EVERYBODY, starts[rank], own)]
            cut = list(self.ins.split(parts))
            if varying:
                self.do = lambda: dist.reduce_scatter(self.outs, cut)
            else:
                self.do = lambda: dist.reduce_scatter_tensor(self.outs, self.ins)
        elif name == "all-gather":
            self.ins, outs, self.pieces = new(own), count, gathered
            self.do = lambda: dist.all_gather_into_tensor(self.outs, self.ins)
        elif name == "gather":
            self.ins, outs, self.pieces = new(own), count if root else 0, gathered if root else []
            self.do = lambda: dist.gather(self.ins, list(self.outs.split(parts)) if root else None, 0)
        elif name == "scatter":
            self.ins, outs, self.pieces = new(count if root else 0), own, [(0, starts[rank], own)]
            self.do = lambda: dist.scatter(self.outs, list(self.ins.split(parts)) if root else None, 0)
        elif name in ("all-to-all", "all-to-all-v"):
            between = lambda i, j: parts[(i + j) % n]
            self.ins, outs = new(count), count
            self.pieces = [(q, sum(between(q, j) for j in range(rank)), between(q, rank)) for q in range(n)]
            counts = [between(rank, q) for q in range(n)]
            self.do = lambda: dist.all_to_all_single(self.outs, self.ins, counts, counts)
        elif name == "send-recv":
            self.ins, outs, self.pieces = new(count), count, [(left, 0, count)]

            def shift():
                work = dist.irecv(self.outs, left)
                dist.send(self.ins, right)
                work.wait()

            self.do = shift
        elif name == "barrier":
            self.ins, outs, self.do = new(0), None, dist.barrier
        elif name == "split":
            self.ins, outs = new(0), None
            groups = []
            self.do = lambda: groups.append(dist.new_group(list(range(n))))

            def destroy():
                dist.barrier()  # a rank that leaves a group fails those that are still connecting
                dist.destroy_process_group(groups.pop())

            self.after = destroy
        else:
            raise NotImplementedError(f"{name}: unknown call")
        self.outs = self.ins if outs is None else new(outs)

    def check(self, name, rank, n):
        if self.outs is not self.ins:
            self.outs.fill_(65)
        fill(self.ins, rank, n)
        self.do()
        self.after()
        check(self.outs, self.pieces, n)
        if name in ("all-reduce", "reduce"):
            self.ins.zero_()  # sums of sums would not stay finite


def measure(call, warm, rounds):
    seconds, cpu = [], 0.0
    for k in range(warm + rounds):
        dist.barrier()
        cpu_before, begin = time.process_time(), time.perf_counter()
        call.do()
        end, cpu_after = time.perf_counter(), time.process_time()
        call.after()
        if k >= warm:
            seconds.append(end - begin)
            cpu += cpu_after - cpu_before
    return {"seconds": seconds, "cpu": cpu, "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def main():
    rank, n, meeting = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=n, timeout=datetime.timedelta(minutes=10))
    dist.barrier()
    print(json.dumps({"version": f"torch {torch.__version__}, gloo, 1 thread"}), file=answers)
    key, call = None, None
    for line in sys.stdin:
        name, dtype, count, warm, rounds, checked = line.split()
        if name in LACKS:
            print(json.dumps({"lacks": LACKS[name]}), file=answers)
            continue
        try:
            if key != (name, dtype, count):
                call = None  # before there is the next one, or its memory stays
                key, call = (name, dtype, count), Call(name, TYPES[dtype], int(count), rank, n)
            if checked == "1":
                call.check(name, rank, n)
            answer = measure(call, int(warm), int(rounds))
        except Exception as e:
            words = (str(e) or type(e).__name__).splitlines()[0]
            lacks = isinstance(e, NotImplementedError) or "not support" in words or "not implemented" in words
            answer = {"lacks" if lacks else "error": words}
        print(json.dumps(answer), file=answers)


main()
