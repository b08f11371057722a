"""Makes openmpi.golden: what Open MPI gives for each call, type and operation.

    python3 -m venv venv && venv/bin/pip install mpi4py numpy     # and Open MPI
    venv/bin/python openmpi.py > openmpi.golden

It runs itself below mpirun with 1 to 5 ranks. The calls, their inputs and the
way they are named here are those of package calltest.

Open MPI has no average: sums are divided here. Nor has it, without an extension,
16-bit floats: they travel as 16-bit integers, and their arithmetic is numpy's for
f16 and the upper half of a float32's for bf16, as operations of the user's. The
inputs are whole numbers so small that every result is exact.

Open MPI's AVX component is left out: it saturates sums of 8 and 16 bits, but not in
the elements behind the last whole vector (github.com/open-mpi/ompi/issues/8045).
Without it they wrap, as here.
"""

import os
import subprocess
import sys
import zlib

WORLDS = [1, 2, 3, 4, 5]
COUNTS = [0, 7, 20]
OPS = ["sum", "avg", "min", "max", "prod"]
REDUCING = ["all-reduce", "reduce", "reduce-scatter", "reduce-scatter-v"]
MOVING = ["broadcast", "all-gather", "all-gather-v", "gather", "gather-v", "scatter", "scatter-v", "all-to-all", "all-to-all-v"]
TYPES = ["f32", "f64", "bf16", "f16", "i32", "i64", "u8"]


def drive():
    """Runs all worlds and prints a line for each call, type and operation."""
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    lines, exact, version = {}, [], ""
    for n in WORLDS:
        out = subprocess.run(["mpirun", "--oversubscribe", "--mca", "op", "^avx", "-n", str(n), sys.executable, os.path.abspath(__file__), "rank"],
                             env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
        for line in out.splitlines():
            key, value = line.rsplit(" ", 1)
            if key == "version":
                version = value
            elif key.startswith("float "):
                exact.append(line)
            else:
                lines.setdefault(key, []).append(value)
    print(f"# {version.replace('_', ' ')}: CRC-32 of what all ranks get, one after another; for 1 to 5 ranks with {COUNTS} elements each")
    for key, values in lines.items():
        print(key, " ".join(values))
    print("# results of sums and products that are not exact, as bits")
    print("\n".join(exact))


def rank_main():
    import numpy as np
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    n, rank = comm.size, comm.rank

    def bf16_wide(u):
        return (u.astype(np.uint32) << 16).view(np.float32)

    def bf16_narrow(f):
        b = f.astype(np.float32).view(np.uint32)
        return ((b + 0x7FFF + ((b >> 16) & 1)) >> 16).astype(np.uint16)

    def f16_wide(u):
        return u.view(np.float16).astype(np.float32)

    def f16_narrow(f):
        return f.astype(np.float16).view(np.uint16)

    halves = {"bf16": (bf16_wide, bf16_narrow), "f16": (f16_wide, f16_narrow)}
    functions = {"sum": np.add, "avg": np.add, "min": np.minimum, "max": np.maximum, "prod": np.multiply}
    builtin = {"sum": MPI.SUM, "avg": MPI.SUM, "min": MPI.MIN, "max": MPI.MAX, "prod": MPI.PROD}
    numpy_type = {"f32": np.float32, "f64": np.float64, "bf16": np.uint16, "f16": np.uint16, "i32": np.int32, "i64": np.int64, "u8": np.uint8}
    mpi_type = {"f32": MPI.FLOAT, "f64": MPI.DOUBLE, "bf16": MPI.UINT16_T, "f16": MPI.UINT16_T,
                "i32": MPI.INT32_T, "i64": MPI.INT64_T, "u8": MPI.UINT8_T}

    def half_op(dtype, op):
        wide, narrow = halves[dtype]

        def combine(a, b, _):
            x, y = np.frombuffer(a, np.uint16), np.frombuffer(b, np.uint16)
            y[:] = narrow(functions[op](wide(x), wide(y)))

        return MPI.Op.Create(combine, commute=True)

    ops = {(t, o): half_op(t, o) if t in halves else builtin[o] for t in TYPES for o in OPS}

    def narrow_to(dtype, values):
        """Elements of a type from whole numbers."""
        if dtype in halves:
            return halves[dtype][1](np.array(values, np.float32))
        return np.array(values, np.int64).astype(numpy_type[dtype])

    def value(r, i):
        return (r * 7 + i * 3 + i // 5) % 4 - 1

    def inputs(dtype, count):
        return narrow_to(dtype, [value(rank, i) for i in range(count)])

    def divide(dtype, a):
        if dtype in halves:
            wide, narrow = halves[dtype]
            return narrow(wide(a) / np.float32(n))
        if dtype in ("f32", "f64"):
            return (a / a.dtype.type(n)).astype(a.dtype)
        return (np.sign(a.astype(np.int64)) * (np.abs(a.astype(np.int64)) // n)).astype(a.dtype)  # towards zero

    def segments(count):
        return [count // n + (r < count % n) for r in range(n)]

    def call(name, dtype, op, count):
        """Makes a call; gives what comes out on this rank."""
        t, root = mpi_type[dtype], (n - 1) // 2
        counts = [(r * 5 + count) % 7 for r in range(n)]
        new = lambda k: np.empty(k, numpy_type[dtype])
        o = ops[dtype, op]
        if name == "all-reduce":
            a, b = inputs(dtype, count), new(count)
            comm.Allreduce([a, t], [b, t], o)
        elif name == "reduce":
            a, b = inputs(dtype, count), new(count)
            comm.Reduce([a, t], [b, t] if rank == root else None, o, root)
            b = b if rank == root else new(0)
        elif name == "reduce-scatter":
            parts = segments(count)
            a, b = inputs(dtype, count), new(parts[rank])
            comm.Reduce_scatter([a, t], [b, t], parts, o)
        elif name == "reduce-scatter-v":
            a, b = inputs(dtype, sum(counts)), new(counts[rank])
            comm.Reduce_scatter([a, t], [b, t], counts, o)
        elif name == "broadcast":
            b = inputs(dtype, count)
            comm.Bcast([b, t], root)
        elif name == "all-gather":
            parts = segments(count)
            a, b = inputs(dtype, parts[rank]), new(count)
            comm.Allgatherv([a, t], [b, parts, None, t])
            if count % n == 0:
                again = new(count)
                comm.Allgather([a, t], [again, t])
                assert np.array_equal(b, again)
        elif name == "all-gather-v":
            a, b = inputs(dtype, counts[rank]), new(sum(counts))
            comm.Allgatherv([a, t], [b, counts, None, t])
        elif name == "gather":
            a, b = inputs(dtype, count), new(n * count if rank == root else 0)
            comm.Gather([a, t], [b, t] if rank == root else None, root)
        elif name == "gather-v":
            a, b = inputs(dtype, counts[rank]), new(sum(counts) if rank == root else 0)
            comm.Gatherv([a, t], [b, counts, None, t] if rank == root else None, root)
        elif name == "scatter":
            a, b = inputs(dtype, n * count), new(count)
            comm.Scatter([a, t] if rank == root else None, [b, t], root)
        elif name == "scatter-v":
            a, b = inputs(dtype, sum(counts)), new(counts[rank])
            comm.Scatterv([a, counts, None, t] if rank == root else None, [b, t], root)
        elif name == "all-to-all":
            a, b = inputs(dtype, n * count), new(n * count)
            comm.Alltoall([a, t], [b, t])
        elif name == "all-to-all-v":
            send = [counts[(rank + to) % n] for to in range(n)]
            receive = [counts[(by + rank) % n] for by in range(n)]
            a, b = inputs(dtype, sum(send)), new(sum(receive))
            comm.Alltoallv([a, send, None, t], [b, receive, None, t])
        if name in REDUCING and op == "avg":
            b = divide(dtype, b)
        return b

    if rank == 0:
        library = MPI.Get_library_version().split(",")[0].replace(" ", "_")
        print("version", library)
    for name in REDUCING + MOVING:
        for dtype in TYPES:
            for op in OPS if name in REDUCING else ["-"]:
                sums = []
                for count in COUNTS:
                    got = comm.gather(call(name, dtype, "sum" if op == "-" else op, count).tobytes(), 0)
                    if rank == 0:
                        sums.append(f"{zlib.crc32(b''.join(got)):08x}")
                if rank == 0:
                    print(f"{name} {dtype} {op} {','.join(sums)}")
    if n > 1:
        for dtype in ("f32", "f64"):
            for op in ("sum", "avg", "prod"):
                x = [((rank * 2654435761 + i * 40503 + 12345) % 2**32) / 2**31 - 1 for i in range(6)]
                a = np.array(x, numpy_type[dtype])
                b = np.empty_like(a)
                comm.Allreduce([a, mpi_type[dtype]], [b, mpi_type[dtype]], ops[dtype, op])
                if op == "avg":
                    b = divide(dtype, b)
                if rank == 0:
                    print(f"float {n} {dtype} {op} {b.tobytes().hex()}")


if __name__ == "__main__":
    rank_main() if sys.argv[1:] == ["rank"] else drive()
