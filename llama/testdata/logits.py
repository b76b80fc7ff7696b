"""What a model's logits should be: a forward pass in float32 numpy on the dequantised weights.

    python3 llama/testdata/logits.py english > llama/testdata/english.json
    python3 llama/testdata/logits.py greedy > llama/testdata/greedy.json
    python3 llama/testdata/logits.py far MODEL > llama/testdata/far_SIZE.json

Run from the module's root. Needs numpy and gguf (pip), for english and greedy tokenizers too. Nothing is shared with the Go code.

english: SmolLM2-135M-Instruct (go run ./testdata/fetch smollm2) on english.txt: the ids, by Hugging Face's tokenizers, after each of them
the most probable token, and each one's log-probability after those before it.

greedy: SmolLM2 continues some prompts with its most probable tokens. margin is by how much the least clear of them won.

far: a model of bench/synth on 8,192 and some more made-up tokens: the most probable token after each of those beyond position 8,192,
where Llama 3.1's scaling of the rotary frequencies begins to matter. top_unscaled is what it
would be without.
"""

import json
import pathlib
import sys

import numpy as np
from gguf import GGUFReader, dequantize

here = pathlib.Path(__file__).parent
root = here.parent.parent


class Model:
    def __init__(self, path, scaled=True, keeps=False):
        self.keeps = keeps  # dequantised weights, in memory
        self.reader = GGUFReader(path)
        self.tensors = {t.name: t for t in self.reader.tensors}
        self.layers, self.heads = self.number("block_count"), self.number("attention.head_count")
        self.kv, self.hidden = self.number("attention.head_count_kv"), self.number("embedding_length")
        self.kept = {}
        self.eps = self.number("attention.layer_norm_rms_epsilon", float)
        self.dim = self.hidden // self.heads
        self.freq = self.number("rope.freq_base", float) ** (-2.0 * np.arange(self.dim // 2) / self.dim)
        if scaled and "rope_freqs.weight" in self.tensors:
            self.freq = self.freq / self.weight("rope_freqs").astype(np.float64)

    def number(self, name, kind=int):
        f = self.reader.fields["llama." + name]
        return kind(f.parts[f.data[0]][0])

    def weight(self, name, rows=slice(None)):
        t = self.tensors[name + ".weight"]
        if self.keeps and name not in self.kept:
            self.kept[name] = dequantize(t.data, t.tensor_type).astype(np.float32)
        if self.keeps:
            return self.kept[name][rows]
        return dequantize(t.data[rows], t.tensor_type).astype(np.float32)

    def norm(self, x, name):
        mean = np.mean(x.astype(np.float64) ** 2, axis=-1, keepdims=True)
        return (x / np.sqrt(mean + self.eps)).astype(np.float32) * self.weight(name)

    def rotate(self, x):  # [tokens, heads, dim]; pairs are (2i, 2i+1)
        z = x[..., 0::2] + 1j * x[..., 1::2]
        z = z * np.exp(1j * np.arange(len(x))[:, None] * self.freq)[:, None, :]
        return np.stack([z.real, z.imag], -1).reshape(x.shape).astype(np.float32)

    def attend(self, q, k, v, first):
        """q holds the queries of positions first and on: [queries, heads, dim]."""
        out = np.empty_like(q)
        for start in range(0, len(q), 256):
            rows = slice(start, start + 256)
            some = q[rows]
            seen = first + start + np.arange(len(some))[:, None] >= np.arange(len(k))[None]
            for h in range(self.heads):
                g = h // (self.heads // self.kv)
                s = some[:, h] @ k[:, g].T / np.float32(np.sqrt(self.dim))
                s = np.where(seen, s, -np.inf)
                p = np.exp(s - s.max(-1, keepdims=True))
                out[rows, h] = p @ v[:, g] / p.sum(-1, keepdims=True)
        return out.reshape(len(q), -1)

    def logits(self, ids, first=0):
        """Logits after the tokens from position first on."""
        x = self.weight("token_embd", np.array(ids))
        for i in range(self.layers):
            b, begin = f"blk.{i}.", first if i == self.layers - 1 else 0  # nothing needs the other rows of the last layer
            h = self.norm(x, b + "attn_norm")
            k = self.rotate((h @ self.weight(b + "attn_k").T).reshape(len(h), self.kv, self.dim))
            v = (h @ self.weight(b + "attn_v").T).reshape(len(h), self.kv, self.dim)
            q = self.rotate((h @ self.weight(b + "attn_q").T).reshape(len(h), self.heads, self.dim))[begin:]
            x = x[begin:] + self.attend(q, k, v, begin) @ self.weight(b + "attn_output").T
            h = self.norm(x, b + "ffn_norm")
            gate = h @ self.weight(b + "ffn_gate").T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ self.weight(b + "ffn_up").T)) @ self.weight(b + "ffn_down").T
        h = self.norm(x, "output_norm")
        name = "output" if "output.weight" in self.tensors else "token_embd"
        n = len(self.tensors[name + ".weight"].data)
        return np.concatenate([h @ self.weight(name, slice(i, i + 8192)).T for i in range(0, n, 8192)], -1)


def logprobs(logits):
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def english():
    sys.path.insert(0, str(root / "tokenizer/testdata"))
    import reference

    path = root / "testdata/fetched/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    ids = reference.ids(reference.smollm2()[0], (here / "english.txt").read_text())
    p = logprobs(Model(path).logits(ids))
    next_ = p[np.arange(len(ids) - 1), ids[1:]]
    print(f"{len(ids)} tokens, perplexity {np.exp(-next_.mean()):.6f}", file=sys.stderr)
    return {"ids": ids, "top": p.argmax(-1).tolist(), "logprobs": [round(float(x), 5) for x in next_]}


PROMPTS = [
    ("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n"
     "What is the capital of France?<|im_end|>\n<|im_start|>assistant\n"),
    "Once upon a time there was a little boat that",
    "The first ten prime numbers are 2, 3, 5,",
]


def greedy():
    sys.path.insert(0, str(root / "tokenizer/testdata"))
    import reference

    tokenizer = reference.smollm2()[1]
    m = Model(root / "testdata/fetched/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", keeps=True)
    answers = []
    for prompt in PROMPTS:
        ids, tokens, margin = reference.ids(tokenizer, prompt), [], np.inf
        while len(tokens) < 40:
            p = m.logits(ids + tokens, len(ids) + len(tokens) - 1)[-1]
            best = np.sort(p)[-2:]
            margin = min(margin, float(best[1] - best[0]))
            tokens.append(int(p.argmax()))
            if tokens[-1] == tokenizer.token_to_id("<|im_end|>"):
                break
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        print(repr(text), margin, file=sys.stderr)
        answers.append({"prompt": ids, "tokens": tokens, "text": text, "margin": round(margin, 5)})
    return answers


def far(path):
    first, n, x, ids = 8192, 8192 + 64, 1, []
    m = Model(path)
    vocab = len(m.tensors["token_embd.weight"].data)
    for _ in range(n):  # the numbers of TestFar
        x = (x * 1664525 + 1013904223) % (1 << 32)
        ids.append((x >> 8) % (vocab - 256))
    top = m.logits(ids, first).argmax(-1)
    unscaled = Model(path, scaled=False).logits(ids, first).argmax(-1)
    return {"first": first, "top": top.tolist(), "top_unscaled": unscaled.tolist()}


json.dump({"english": english, "greedy": greedy, "far": far}[sys.argv[1]](*sys.argv[2:]), sys.stdout)
print()
