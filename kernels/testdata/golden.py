"""Writes golden.txt: logits of a small Llama, computed with numpy in float64 from Hugging Face's definition of the architecture
(but for rotary pairs, which are interleaved as in GGUF). Weights come from an integer hash, so the Go test can make the same.

    pip install numpy
    python golden.py
"""
import numpy as np

LAYERS, HIDDEN, FFN, VOCAB, HEADS, KV_HEADS, DIM, EPS, THETA = 2, 64, 96, 50, 4, 2, 16, 1e-5, 10000.0
TOKENS = 45


def hashed(seed, *shape):
    """Uniform in [-0.5, 0.5), exact in float32."""
    i = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(seed * 1000003)
    h = (i * np.uint64(2654435761)) % np.uint64(1 << 32)
    h = ((h ^ (h >> np.uint64(15))) * np.uint64(2246822519)) % np.uint64(1 << 32)
    h = h >> np.uint64(12)
    return (h.astype(np.float64) / (1 << 20) - 0.5).reshape(shape)


def rms_norm(x, w):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPS) * w


def rotate(x):  # [tokens, heads, DIM]
    angle = np.arange(len(x))[:, None] * THETA ** (-np.arange(0, DIM, 2) / DIM)
    z = x[..., 0::2] + 1j * x[..., 1::2]
    z = z * np.exp(1j * angle)[:, None, :]
    return np.stack([z.real, z.imag], axis=-1).reshape(x.shape)


def forward(ids):
    x = hashed(1, VOCAB, HIDDEN)[ids]
    n = len(ids)
    causal = np.where(np.tril(np.ones((n, n), bool)), 0, -np.inf)
    for layer in range(LAYERS):
        w = lambda role, *shape: hashed(10 + 10 * layer + role, *shape)
        h = rms_norm(x, 1 + w(0, HIDDEN))
        q = rotate((h @ w(1, HEADS * DIM, HIDDEN).T).reshape(n, HEADS, DIM))
        k = rotate((h @ w(2, KV_HEADS * DIM, HIDDEN).T).reshape(n, KV_HEADS, DIM))
        v = (h @ w(3, KV_HEADS * DIM, HIDDEN).T).reshape(n, KV_HEADS, DIM)
        k, v = np.repeat(k, HEADS // KV_HEADS, axis=1), np.repeat(v, HEADS // KV_HEADS, axis=1)
        score = np.einsum("thd,shd->hts", q, k) / np.sqrt(DIM) + causal
        p = np.exp(score - score.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        a = np.einsum("hts,shd->thd", p, v).reshape(n, HEADS * DIM)
        x = x + a @ w(4, HIDDEN, HEADS * DIM).T
        h = rms_norm(x, 1 + w(5, HIDDEN))
        gate, up = h @ w(6, FFN, HIDDEN).T, h @ w(7, FFN, HIDDEN).T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w(8, HIDDEN, FFN).T
    return rms_norm(x, 1 + hashed(2, HIDDEN)) @ hashed(3, VOCAB, HIDDEN).T


if __name__ == "__main__":
    ids = [(7 * i * i + 3 * i + 1) % VOCAB for i in range(TOKENS)]
    logits = forward(ids)
    with open("golden.txt", "w") as f:
        f.write("# logits after the given number of tokens; made by golden.py\n")
        for n in (1, 2, 32, 33, TOKENS):
            f.write(f"{n} " + " ".join(f"{v:.9g}" for v in logits[n - 1]) + "\n")
