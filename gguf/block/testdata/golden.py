"""Writes TYPE.golden.gz and TYPE.edges.gz: blocks of every type, then the float32
values that PyPI's gguf package decodes them to.

    pip install gguf==0.19.0 numpy
    python golden.py

Most blocks are random bytes with scales from the whole range of float16 (zero,
subnormal, largest, negative, never infinite or NaN); the last are all zeros and
all ones but for the scales. The edges have scales that are infinite or NaN, over
random bytes, zeros and ones, and a block of nothing but ones.
"""

import gzip
import os

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

# Byte offsets of the float16 scales.
SCALES = {
    "F32": [], "F16": [0], "BF16": [],
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
    "IQ1_S": [0], "IQ1_M": [], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64],
}


def halves(rng, n):
    """n float16 bit patterns, every sign and exponent but those of infinity and NaN."""
    h = rng.integers(0, 0x7C00, n) | rng.integers(0, 2, n) << 15
    h[: min(n, 6)] = [0, 0x8000, 1, 0x03FF, 0x7BFF, 0xFBFF][: min(n, 6)]
    return rng.permutation(h).astype(np.uint16)


def blocks(rng, name):
    values, size = GGML_QUANT_SIZES[T[name]]
    n = 4096 if values == 1 else 128 if values == 32 else 24
    b = rng.integers(0, 256, (n, size), dtype=np.uint8)
    b[-2], b[-1] = 0, 255
    for at in SCALES[name]:
        b[:, at : at + 2] = halves(rng, n).view(np.uint8).reshape(n, 2)
    if name == "IQ1_M":  # the scale is in the top nibbles of the last four uint16
        s = b[:, 48:].copy().view(np.uint16)
        h = halves(rng, n).reshape(n, 1)
        s[:] = s & 0x0FFF | (h >> np.array([0, 4, 8, 12], dtype=np.uint16) << 12)
        b[:, 48:] = s.view(np.uint8)
    if name in ("F32", "BF16"):  # no infinity, no NaN
        b[:, -1] &= 0xBF
    return b


def edges(rng, name):
    values, size = GGML_QUANT_SIZES[T[name]]
    n = 64 if values == 1 else 15
    b = rng.integers(0, 256, (n, size), dtype=np.uint8)
    b[0], b[1], b[2] = 0, 255, 0
    special = np.array([0x7C00, 0xFC00, 0x7E00, 0xFE01, 0x7FFF], dtype=np.uint16)  # infinities, NaNs
    scales = np.resize(special, n)
    scales[1] = 0xFFFF
    for k, at in enumerate(SCALES[name]):
        b[:, at : at + 2] = np.roll(scales, k if k else 0).view(np.uint8).reshape(n, 2)
    if name == "IQ1_M":
        s = b[:, 48:].copy().view(np.uint16)
        s[:] = s & 0x0FFF | (scales.reshape(n, 1) >> np.array([0, 4, 8, 12], dtype=np.uint16) << 12)
        b[:, 48:] = s.view(np.uint8)
    if name == "F32":
        b[3:] = np.resize(np.array([0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 1, 0x807FFFFF], dtype=np.uint32), n - 3).view(np.uint8).reshape(n - 3, 4)
    if name == "BF16":
        b[3:] = np.resize(np.array([0x7F80, 0xFF80, 0x7FC0, 0x7F81, 1, 0x807F], dtype=np.uint16), n - 3).view(np.uint8).reshape(n - 3, 2)
    return b


def write(path, name, b):
    want = dequantize(b.reshape(1, -1), T[name])
    with open(path, "wb") as f:
        f.write(gzip.compress(b.tobytes() + want.astype("<f4").tobytes(), 9, mtime=0))
    return want


os.chdir(os.path.dirname(os.path.abspath(__file__)))
for name in SCALES:
    want = write(name + ".golden.gz", name, blocks(np.random.default_rng(int(T[name])), name))
    assert np.isfinite(want).all(), name
    with np.errstate(all="ignore"):
        want = write(name + ".edges.gz", name, edges(np.random.default_rng(100 + int(T[name])), name))
    assert not np.isfinite(want).all(), name
