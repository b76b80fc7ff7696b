"""Hidden states of SmolLM2-135M-Instruct in float32 numpy, pooled as Model.Embed does: embed.npy, float32 [2 poolings, texts, hidden].

    python3 llama/testdata/embed.py                 # needs numpy and gguf (pip)
    python3 llama/testdata/embed.py --transformers  # compares them with Hugging Face's; needs torch and transformers too

Run from the module's root after go run ./testdata/fetch smollm2. The weights are dequantised to float32 first; texts and their ids are
in embed.json. Nothing is shared with the Go code.
"""
import json
import os
import sys

import numpy as np
from gguf import GGUFReader, dequantize

here = os.path.dirname(os.path.abspath(__file__))
model = "testdata/fetched/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
texts = json.load(open(os.path.join(here, "embed.json")))


def reference():
    reader = GGUFReader(model)
    t = {x.name: dequantize(x.data, x.tensor_type).astype(np.float32) for x in reader.tensors}

    def field(name):
        f = reader.fields["llama." + name]
        return f.parts[f.data[0]][0]

    heads, kv = int(field("attention.head_count")), int(field("attention.head_count_kv"))
    hidden, eps = int(field("embedding_length")), float(field("attention.layer_norm_rms_epsilon"))
    dim, base = hidden // heads, float(field("rope.freq_base"))

    def norm(x, w):
        return x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + eps).astype(np.float32) * w

    def rope(x):  # [tokens, heads, dim], pairs (2i, 2i+1)
        angle = np.arange(len(x))[:, None] * base ** (-2.0 * np.arange(dim // 2) / dim)
        c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
        y = np.empty_like(x)
        y[..., 0::2] = x[..., 0::2] * c - x[..., 1::2] * s
        y[..., 1::2] = x[..., 0::2] * s + x[..., 1::2] * c
        return y

    def run(ids):
        x = t["token_embd.weight"][ids]
        n = len(ids)
        mask = np.triu(np.full((n, n), -np.inf, np.float32), 1)
        for i in range(int(field("block_count"))):
            w = lambda name: t[f"blk.{i}.{name}.weight"]
            h = norm(x, w("attn_norm"))
            q = rope((h @ w("attn_q").T).reshape(n, heads, dim))
            k = rope((h @ w("attn_k").T).reshape(n, kv, dim)).repeat(heads // kv, 1)
            v = (h @ w("attn_v").T).reshape(n, kv, dim).repeat(heads // kv, 1)
            p = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(dim) + mask
            p = np.exp(p - p.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
            x = x + np.einsum("hqk,khd->qhd", p, v).reshape(n, hidden).astype(np.float32) @ w("attn_output").T
            h = norm(x, w("ffn_norm"))
            g = h @ w("ffn_gate").T
            x = x + (g / (1 + np.exp(-g)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
        return norm(x, t["output_norm.weight"])

    return [run(x["ids"]) for x in texts]


def huggingface():
    import torch
    from transformers import AutoModelForCausalLM

    folder, name = os.path.split(model)
    m = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    with torch.no_grad():
        return [m.model(torch.tensor([x["ids"]])).last_hidden_state[0].numpy() for x in texts]


states = reference()
if "--transformers" in sys.argv:
    for x, a, b in zip(texts, states, huggingface()):
        print(f"{len(x['ids'])} tokens: largest difference {np.abs(a - b).max():.2e} of {np.abs(b).max():.2f}")
pooled = np.stack([[s.mean(0) for s in states], [s[-1] for s in states]]).astype(np.float32)
np.save(os.path.join(here, "embed.npy"), pooled)
print(pooled.shape, pooled[0, 0, :4], pooled[1, 0, :4])
