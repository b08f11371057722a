"""Training steps per second of the quickstart model in eager PyTorch on the CPU.

The counterpart of `vgid bench step`: the same LLaVA architecture (CLIP-style
ViT, two-layer GELU projector, LLaMA decoder, untied head), the same batch, the
same work in a step (forward, backward, clipping to norm 1, AdamW), float32.
Batches are padded to their longest sequence, as is usual; the rate counts the
tokens that are not padding.

    python bench_step.py --lengths batch.json --threads 2

batch.json is {"lengths": [...], "images": [bool, ...], "answers": [...]}, one
entry per sample: tokens (image tokens included), whether an image stands at
its start, and how many of the last tokens are the answer that is trained on.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

IMAGE, PATCH, CHANNELS = 48, 12, 3
PATCHES = (IMAGE // PATCH) ** 2
WIDTH, HEADS, VIT_LAYERS, LLM_LAYERS, FFN = 128, 4, 3, 4, 352
HEAD_DIM = WIDTH // HEADS


class VisionBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, HEADS, HEAD_DIM).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(a.transpose(1, 2).reshape(n, t, WIDTH))
        y = self.up(self.norm2(x))
        return x + self.down(y * torch.sigmoid(1.702 * y))


class Vision(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(CHANNELS, WIDTH, PATCH, stride=PATCH, bias=False)
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, WIDTH))
        self.positions = nn.Parameter(0.02 * torch.randn(1, PATCHES + 1, WIDTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.blocks = nn.Sequential(*[VisionBlock() for _ in range(VIT_LAYERS)])

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1) + self.positions
        return self.blocks(self.norm(x))[:, 1:]


class DecoderBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.RMSNorm(WIDTH, eps=1e-5)
        self.norm2 = nn.RMSNorm(WIDTH, eps=1e-5)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate_up = nn.Linear(WIDTH, 2 * FFN, bias=False)
        self.down = nn.Linear(FFN, WIDTH, bias=False)

    def forward(self, x, cos, sin):
        n, t, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, HEADS, HEAD_DIM).permute(2, 0, 3, 1, 4)
        # Padding is on the right, so the causal mask alone hides it.
        a = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.out(a.transpose(1, 2).reshape(n, t, WIDTH))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Model(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.vision = Vision()
        self.projector = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.embedding = nn.Embedding(vocab, WIDTH)
        self.blocks = nn.ModuleList(DecoderBlock() for _ in range(LLM_LAYERS))
        self.norm = nn.RMSNorm(WIDTH, eps=1e-5)
        self.head = nn.Linear(WIDTH, vocab, bias=False)

    def forward(self, ids, images, image_rows, answer_rows, cos, sin):
        """Logits of the rows (of the flattened batch) that predict an answer token."""
        x = self.embedding(ids)
        if len(images):
            features = self.projector(self.vision(images)).reshape(-1, WIDTH)
            flat = x.reshape(-1, WIDTH).index_copy(0, image_rows, features)
            x = flat.view(x.shape)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.head(self.norm(x.reshape(-1, WIDTH)[answer_rows]))


def make_batch(spec, vocab):
    """The padded batch of the given lengths: the model's inputs, and the targets."""
    lengths, with_image, answers = spec["lengths"], spec["images"], spec["answers"]
    if not len(lengths) == len(with_image) == len(answers) > 0:
        raise SystemExit("--lengths: lengths, images and answers must have the same number of entries, at least one")
    for i, (n, image, a) in enumerate(zip(lengths, with_image, answers)):
        if not 1 <= a < n or (image and n - a < PATCHES):
            raise SystemExit(f"--lengths: entry {i}: {n} tokens cannot hold {a} answer tokens"
                             + (f" and an image of {PATCHES}" if image else ""))
    longest = max(lengths)
    ids = torch.zeros(len(lengths), longest, dtype=torch.long)
    image_rows, answer_rows = [], []
    for i, (n, image, a) in enumerate(zip(lengths, with_image, answers)):
        ids[i, :n] = torch.randint(vocab, (n,))
        if image:
            image_rows += range(i * longest, i * longest + PATCHES)
        answer_rows += range(i * longest + n - a - 1, i * longest + n - 1)
    images = torch.randn(sum(map(bool, with_image)), CHANNELS, IMAGE, IMAGE)
    answer_rows = torch.tensor(answer_rows)
    targets = ids.view(-1)[answer_rows + 1]
    inverse = 10000.0 ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    angles = torch.arange(longest)[:, None] * inverse
    angles = torch.cat([angles, angles], dim=-1)
    inputs = (ids, images, torch.tensor(image_rows, dtype=torch.long), answer_rows, angles.cos(), angles.sin())
    return inputs, targets


def main():
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--lengths", required=True, help="JSON file with the batch")
    flags.add_argument("--threads", type=int, default=2)
    flags.add_argument("--vocab", type=int, default=2048)
    flags.add_argument("--steps", type=int, default=20, help="timed steps")
    flags.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    flags.add_argument("--compile", action="store_true", help="torch.compile the model")
    args = flags.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    with open(args.lengths) as f:
        spec = json.load(f)
    inputs, targets = make_batch(spec, args.vocab)
    model = Model(args.vocab)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    forward = torch.compile(model) if args.compile else model

    def step():
        loss = F.cross_entropy(forward(*inputs), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    for _ in range(args.warmup):
        step()
    seconds = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(json.dumps({
        "tokens_per_s": round(sum(spec["lengths"]) / median, 1),
        "step_ms_median": round(1000 * median, 3),
        "steps": args.steps,
    }))


if __name__ == "__main__":
    main()
