"""Trains the tiny model on what ./corpus wrote. See README.md.

    python examples/tinymodel/train.py --corpus train.jsonl --heldout heldout.jsonl --minutes 55 --out model
"""

import argparse
import json
import os
import random
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from model import SYSTEM, Chat, Config, Llama, train_tokenizer
from tokenizers import Tokenizer


def read(path, first=0, step=1):
    with open(path, encoding="utf-8") as f:
        return [line for i, line in enumerate(f) if i % step == first]


def texts(lines):
    """What the vocabulary is made for: dialogues, with the parts that the chat format adds."""
    for line in lines:
        yield from (part for m in json.loads(line)["messages"] for part in (m["role"], "\n\n", m["content"]))
        yield "system"
        yield SYSTEM


def batches(chat, lines, tokens, limit, rng):
    """Batches of dialogues of like length, each begun at position 0 as in use; little of a batch is padding. limit() is how many
    tokens of a dialogue are taken."""
    order = rng.permutation(len(lines))
    for at in range(0, len(order), 2000):
        n = limit()
        rows = (chat.dialogue(json.loads(lines[i])["messages"]) for i in order[at : at + 2000])
        rows = sorted(((ids[:n], weights[:n]) for ids, weights in rows), key=lambda r: len(r[0]))
        found, batch = [], []
        for row in rows:
            if batch and (len(batch) + 1) * len(row[0]) > tokens:
                found.append(batch)
                batch = []
            batch.append(row)
        found.append(batch)
        random.Random(int(rng.integers(1 << 30))).shuffle(found)
        for batch in found:
            n = max(len(ids) for ids, _ in batch)
            ids, weights = torch.zeros(len(batch), n, dtype=torch.int64), torch.zeros(len(batch), n)
            for j, (i, w) in enumerate(batch):
                ids[j, : len(i)], weights[j, : len(w)] = torch.tensor(i), torch.tensor(w)
            yield ids, weights


def loss_of(model, ids, weights):
    """The sum of the weighted losses, and of the weights; only rows that count get logits."""
    device = model.token_embd.weight.device
    ids, w = ids.to(device), weights[:, 1:].reshape(-1).to(device)
    counts = w > 0
    with torch.autocast(device.type, torch.bfloat16):
        x = model(ids[:, :-1])
        logits = model.logits(x.reshape(-1, x.shape[-1])[counts])
    each = F.cross_entropy(logits.float(), ids[:, 1:].reshape(-1)[counts], reduction="none")
    return (each * w[counts]).sum(), w.sum()


@torch.compiler.set_stance("force_eager")
@torch.no_grad()
def evaluate(model, chat, lines):
    """The mean loss of the assistant's tokens."""
    total = count = 0.0
    for ids, weights in batches(chat, lines, 4096, lambda: model.c.context, np.random.default_rng(0)):
        loss, n = loss_of(model, ids, weights)
        total, count = total + loss.item(), count + n.item()
    return total / count


def train(rank, a):
    """One of a.processes workers, of one thread each: threads that wait for each other lose most of their time on a busy machine."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(a.port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=a.processes)
    say = (lambda s: print(s, flush=True)) if rank == 0 else (lambda s: None)

    c = Config()
    tokenizer = Tokenizer.from_file(os.path.join(a.out, "tokenizer.json"))
    chat, plain = Chat(tokenizer, a.copied), Chat(tokenizer)
    lines = read(a.corpus, rank, a.processes)
    heldout = read(a.heldout)[:200]
    model = Llama(c)
    if a.resume:
        model.load_state_dict(torch.load(os.path.join(a.out, "model.pt"), map_location="cpu"))
    model.to(a.device)
    parameters = list(model.parameters())
    say(f"{sum(p.numel() for p in parameters) / 1e6:.2f} M parameters, {len(lines)} dialogues for each process")
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embd" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() != 2 or "embd" in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=a.muon, weight_decay=0.01, momentum=0.95, adjust_lr_fn="original"),
        torch.optim.AdamW(others, lr=a.lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    bases = [[g["lr"] for g in o.param_groups] for o in optimizers]

    if a.compile:
        model.compile(dynamic=True)
    rng = np.random.default_rng(rank + (1000 if a.resume else 0))
    start = reported = saved = time.monotonic()
    step, seen, losses, progress = 0, 0, [], 0.0
    # In the first part only the beginnings of stories, where most is to be learned about copying from the prompt.
    limit = lambda: 96 if progress < a.short else c.context
    while progress < 1:
        for ids, weights in batches(chat, lines, a.tokens, limit, rng):
            # A short warm-up, then constant, then down to nothing over the last 40% of the time.
            scale = min(1, (step + 1) / 40) * min(1, (1 - progress) / 0.4)
            for o, base in zip(optimizers, bases):
                for g, lr in zip(o.param_groups, base):
                    g["lr"] = lr * scale
            loss, n = loss_of(model, ids, weights)
            loss = loss / n
            loss.backward()
            now = time.monotonic()
            flat = torch.cat([p.grad.reshape(-1) for p in parameters] + [torch.tensor([(now - start) / (a.minutes * 60), loss.item(), ids.numel()], device=a.device)])
            if a.processes > 1:
                dist.all_reduce(flat)
            flat /= a.processes
            at = 0
            for p in parameters:
                p.grad = flat[at : at + p.numel()].view_as(p)
                at += p.numel()
            progress, mean, count = flat[at:].tolist()
            torch.nn.utils.clip_grad_norm_(others, 1.0)
            for o in optimizers:
                o.step()
                o.zero_grad(set_to_none=True)
            step, seen = step + 1, seen + count * a.processes
            losses.append(mean)
            if now - reported > 30:
                say(f"step {step}, {seen / 1e6:.2f} M tokens, {seen / (now - start):.0f}/s, loss {np.mean(losses):.4f}, progress {progress:.2f}")
                reported, losses = now, []
            if now - saved > 300 and rank == 0:
                torch.save(model.state_dict(), os.path.join(a.out, "model.pt"))
                saved = now
                say(f"held-out loss {evaluate(model, plain, heldout[:60]):.4f}")
            if progress >= 1:
                break
    if rank == 0:
        torch.save(model.state_dict(), os.path.join(a.out, "model.pt"))
        say(f"{step} steps, {seen / 1e6:.2f} M tokens, held-out loss {evaluate(model, plain, heldout):.4f}")
    dist.barrier()
    dist.destroy_process_group()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--corpus", required=True)
    p.add_argument("--heldout", required=True)
    p.add_argument("--out", required=True, help="folder for the tokenizer and the checkpoint")
    p.add_argument("--minutes", type=float, default=55)
    p.add_argument("--device", default="cpu", help="cuda: one process on a GPU; --tokens 16384 suits it")
    p.add_argument("--processes", type=int, default=1)
    p.add_argument("--tokens", type=int, default=4096, help="of a process's part of a batch")
    p.add_argument("--lr", type=float, default=3e-3, help="of the embedding and the norms (AdamW)")
    p.add_argument("--muon", type=float, default=0.02, help="learning rate of the other matrices (Muon)")
    p.add_argument("--copied", type=float, default=4, help="weight of the loss where the prompt's words come up in the answer")
    p.add_argument("--short", type=float, default=0.12, help="part of the time for the beginnings of stories")
    p.add_argument("--compile", action="store_true", help="with torch.compile, which needs a C++ compiler: half as fast again on a CPU")
    p.add_argument("--resume", action="store_true", help="go on with the tokenizer and the weights of --out")
    p.add_argument("--port", type=int, default=29511)
    a = p.parse_args()
    if a.device != "cpu":
        a.processes = 1
    os.makedirs(a.out, exist_ok=True)
    if not a.resume:
        train_tokenizer(texts(read(a.corpus)[:8000]), Config().vocab).save(os.path.join(a.out, "tokenizer.json"))
    mp.spawn(train, args=(a,), nprocs=a.processes)


if __name__ == "__main__":
    main()
