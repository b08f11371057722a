"""Golden values of the operations of a backend, computed with PyTorch in float64.

    python golden.py golden.json

Written with torch 2.9.1, transformers 5.23.0 on CPU. Every input, weight and incoming
gradient is a multiple of 1/1024, or a float32, and every hyper-parameter is a float32 written
in full: a float32 backend starts from exactly the numbers PyTorch did, and what differs is its
own rounding. Gradients are those of Σ output·d_output, by autograd.

golden.json is a list of cases {op, name, scalars, ints, floats}; floats and ints are matrices
(lists of rows). The sequences of a packed attention lie one after the other from row 0, and
their lengths are ints lq and lk.
"""
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F
from transformers import LlamaConfig
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
GEN = torch.Generator().manual_seed(20260605)
CASES = []


def f32(v):
    """The float32 next to v, exactly."""
    return float(np.float32(v))


def rand(*shape, size=1.0):
    return (torch.randn(shape, generator=GEN) * size * 1024).round() / 1024


def leaf(*shape, size=1.0):
    return rand(*shape, size=size).requires_grad_()


def case(op, name, scalars=None, ints=None, **floats):
    matrices = {}
    for key, t in floats.items():
        t = t.detach()
        matrices[key] = t.reshape(1, -1).tolist() if t.dim() < 2 else t.reshape(t.shape[0], -1).tolist()
    CASES.append(dict(op=op, name=name, scalars=scalars or {}, ints=ints or {}, floats=matrices))


def column(t):
    return t.detach().reshape(-1, 1)


def norms():
    for name, n, eps, size in [("llama", 24, f32(1e-5), 1.0), ("small rows", 7, f32(1e-2), 0.1), ("one column", 1, f32(1e-3), 1.0)]:
        x, w, b, dy = leaf(5, n, size=size), leaf(n), leaf(n), rand(5, n)
        y = F.rms_norm(x, (n,), w, eps)
        dx, dw = torch.autograd.grad(y, (x, w), dy)
        rstd = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
        case("rms_norm", name, dict(eps=eps), x=x, w=w, dy=dy, y=y, rstd=rstd, dx=dx, dw=dw)
        y = F.layer_norm(x, (n,), w, b, eps)
        dx, dw, db = torch.autograd.grad(y, (x, w, b), dy)
        stats = torch.cat([x.mean(-1, keepdim=True), torch.rsqrt(x.var(-1, correction=0, keepdim=True) + eps)], -1)
        case("layer_norm", name, dict(eps=eps), x=x, w=w, b=b, dy=dy, y=y, stats=stats, dx=dx, dw=dw, db=db)


def activations():
    # From -8 to 8 in uneven steps, with the places where the derivatives vanish.
    grid = torch.cat([torch.linspace(-8, 8, 60), torch.tensor([0.0, -0.7518, -1.2785, 20.0])])
    grid = ((grid * 1024).round() / 1024).reshape(4, 16)
    functions = {"gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "quick_gelu": ACT2FN["quick_gelu"], "silu": F.silu}
    for name, f in functions.items():
        x, dy = grid.clone().requires_grad_(), rand(4, 16)
        y = f(x)
        case("activate", name, x=x, dy=dy, y=y, dx=torch.autograd.grad(y, x, dy)[0])
    gate, up, dy = grid.clone().requires_grad_(), leaf(4, 16, size=3), rand(4, 16)
    y = F.silu(gate) * up
    dgate, dup = torch.autograd.grad(y, (gate, up), dy)
    case("swiglu", "silu·up", gate=gate, up=up, dy=dy, y=y, dgate=dgate, dup=dup)


def rope():
    heads, dim, t = 2, 8, 6
    turn = LlamaRotaryEmbedding(LlamaConfig(hidden_size=heads * dim, num_attention_heads=heads, head_dim=dim))
    # Not in order: the tables belong to tokens, not to rows.
    cos, sin = turn(torch.zeros(1, t, 1, dtype=torch.float32), torch.tensor([[0, 1, 2, 40, 7, 1000]]))
    cos, sin = cos.double(), sin.double()
    x, dy = leaf(t, heads * dim), rand(t, heads * dim)
    split = lambda v: v.reshape(1, t, heads, dim).transpose(1, 2)
    y, _ = apply_rotary_pos_emb(split(x), split(x), cos, sin)
    y = y.transpose(1, 2).reshape(t, heads * dim)
    case("rope", "llama", ints=dict(heads=[[heads]]), x=x, dy=dy, y=y, dx=torch.autograd.grad(y, x, dy)[0],
         cos=cos[0, :, : dim // 2], sin=sin[0, :, : dim // 2])


def attention():
    shapes = [("full", False, 2, 2, 8, [5, 3], [5, 3]), ("causal", True, 2, 2, 8, [5, 3], [5, 3]),
              ("causal, grouped queries", True, 4, 2, 6, [6, 1], [6, 1]), ("full, one key head", False, 3, 1, 5, [4, 2], [7, 2]),
              ("causal, keys before the queries", True, 4, 2, 4, [3, 1], [8, 5])]
    for name, causal, heads, kv_heads, dim, lq, lk in shapes:
        scale = f32(dim**-0.5)
        q, k, v = leaf(sum(lq), heads * dim), leaf(sum(lk), kv_heads * dim), leaf(sum(lk), kv_heads * dim)
        outs, sums, fq, fk = [], [], 0, 0
        for nq, nk in zip(lq, lk):
            part = lambda m, start, n, h: m[start : start + n].reshape(1, n, h, dim).transpose(1, 2)
            qs, ks, vs = part(q, fq, nq, heads), part(k, fk, nk, kv_heads), part(v, fk, nk, kv_heads)
            # The last query sees the last key.
            seen = torch.ones(nq, nk, dtype=torch.bool).tril(nk - nq) if causal else None
            o = F.scaled_dot_product_attention(qs, ks, vs, attn_mask=seen, scale=scale, enable_gqa=heads != kv_heads)
            outs.append(o.transpose(1, 2).reshape(nq, heads * dim))
            scores = scale * qs @ ks.repeat_interleave(heads // kv_heads, 1).transpose(-1, -2)
            if causal:
                scores = scores.masked_fill(~seen, -torch.inf)
            sums.append(scores.logsumexp(-1)[0].T)
            fq, fk = fq + nq, fk + nk
        o, do = torch.cat(outs), rand(sum(lq), heads * dim)
        dq, dk, dv = torch.autograd.grad(o, (q, k, v), do)
        case("attention", name, dict(scale=scale), dict(causal=[[int(causal)]], heads=[[heads, kv_heads, dim]], lq=[lq], lk=[lk]),
             q=q, k=k, v=v, do=do, o=o, lse=torch.cat(sums), dq=dq, dk=dk, dv=dv)


def heads():
    t, d, vocab = 7, 6, 11
    weight = torch.tensor([[1.0], [0.25], [-0.75], [0.0], [-1.0], [0.5], [2.0]])  # some ascend
    h, w, target = leaf(t, d), leaf(vocab, d), torch.tensor([0, 10, 3, 3, 7, 1, 9])
    loss = F.cross_entropy(h @ w.T, target, reduction="none")
    dh, dw = torch.autograd.grad((weight[:, 0] * loss).sum(), (h, w))
    case("linear_ce", "weighted", ints=dict(target=target[:, None].tolist()), h=h, w=w, weight=weight, loss=column(loss), dh=dh, dw=dw)
    for name, teacher, student, scale in [("plain", 1.0, 1.0, 1.0), ("temperature 2, scaled", 2.0, 2.0, 4.0), ("two temperatures", 0.5, f32(1.3), 0.25)]:
        h, w, ht, wt = leaf(t, d), leaf(vocab, d), rand(t, d - 2), rand(vocab, d - 2)
        kl = F.kl_div((h @ w.T / student).log_softmax(-1), (ht @ wt.T / teacher).log_softmax(-1), reduction="none", log_target=True)
        loss = scale * kl.sum(-1)
        dh, dw = torch.autograd.grad((weight[:, 0] * loss).sum(), (h, w))
        case("linear_kl", name, dict(teacher_temp=teacher, student_temp=student, scale=scale),
             h=h, w=w, ht=ht, wt=wt, weight=weight, loss=column(loss), dh=dh, dw=dw)


def adamw():
    # Gradients are scaled to the norm by hand: clip_grad_norm_ divides by the norm plus 1e-6.
    for name, clip, decay, eps in [("plain", 0.0, 0.0, f32(1e-8)), ("clipped, with decay", f32(1.5), f32(0.1), f32(1e-8)), ("large eps", 0.0, f32(0.1), f32(0.1))]:
        lr, b1, b2 = f32(0.05), f32(0.9), f32(0.95)
        p, grads, after, moments = leaf(3, 5), [rand(3, 5, size=s) for s in (1.0, 0.01, 2.0)], [], {}
        before = p.detach().clone()
        opt = torch.optim.AdamW([p], lr=lr, betas=(b1, b2), eps=eps, weight_decay=decay, foreach=False)
        for g in grads:
            p.grad = g * min(1.0, clip / g.norm().item()) if clip else g.clone()
            opt.step()
            after.append(p.detach().clone())
        state = opt.state[p]
        case("adamw", name, dict(lr=lr, beta1=b1, beta2=b2, eps=eps, weight_decay=decay, clip=clip),
             p=before, g1=grads[0], g2=grads[1], g3=grads[2], p1=after[0], p2=after[1], p3=after[2],
             m3=state["exp_avg"], v3=state["exp_avg_sq"])


def layers():
    images, n, c, height, width, patch, out = 2, 3, 3, 6, 9, 3, 4
    x, w, b = leaf(images, c, height, width), leaf(out, c, patch, patch, size=0.3), leaf(out)
    y = F.conv2d(x, w, b, stride=patch).flatten(2).transpose(1, 2)
    dy = rand(*y.shape)
    dw, db = torch.autograd.grad(y, (w, b), dy)
    case("patch embedding", "conv2d", ints=dict(shape=[[c, height, width, patch]]),
         x=x, w=w, b=b, dy=dy.flatten(0, 1), y=y.flatten(0, 1), dw=dw, db=db)
    table, idx, dy = leaf(6, 5), torch.tensor([3, 0, 3, 5, 3]), rand(5, 5)
    y = F.embedding(idx, table)
    case("embedding", "repeated rows", ints=dict(idx=idx[:, None].tolist()), table=table, dy=dy, y=y, dtable=torch.autograd.grad(y, table, dy)[0])


def main():
    for make in (norms, activations, rope, attention, heads, adamw, layers):
        make()
    with open(sys.argv[1], "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in CASES) + "\n]\n")


main()
