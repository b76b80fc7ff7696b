"""Llama 3.1's architecture in PyTorch, small, and its chat format over a small vocabulary."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

# How Llama 3 splits text before it merges bytes.
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

SPECIAL = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
] + [f"<|reserved_special_token_{i}|>" for i in range(3, 8)]

SYSTEM = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"


@dataclass
class Config:
    vocab: int = 2048
    layers: int = 5
    hidden: int = 192
    heads: int = 3
    kv_heads: int = 1
    ffn: int = 480
    eps: float = 1e-5
    theta: float = 500000.0
    context: int = 1024

    @property
    def head(self):
        return self.hidden // self.heads


def train_tokenizer(texts, vocab):
    """A byte-level BPE: the bytes, what merging makes of them, and the special tokens last, as in Llama 3.1."""
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab - len(SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_special_tokens(SPECIAL)
    assert t.get_vocab_size() == vocab, t.get_vocab_size()
    return t


class Chat:
    """Llama 3.1's chat format as token ids."""

    def __init__(self, tokenizer, copied=1.0):
        self.copied = copied  # weight of the loss where a user's word comes up in the answer
        encode = lambda s: tokenizer.encode(s, add_special_tokens=False).ids
        self.encode = encode
        self.bos, self.eot = (tokenizer.token_to_id(s) for s in ("<|begin_of_text|>", "<|eot_id|>"))
        self.common = set(encode(" a an the and in on at of to who is was that has with his her he she it for about story tale .,!?")) | {self.eot}
        self.header = {r: encode(f"<|start_header_id|>{r}<|end_header_id|>\n\n") for r in ("system", "user", "assistant")}

    def dialogue(self, messages):
        """Ids, and for each the weight of its loss: 0 but for what the assistant says; more for words that a user said before."""
        system = ""
        if messages[0]["role"] == "system":
            system, messages = messages[0]["content"], messages[1:]
        ids = [self.bos] + self.header["system"] + self.encode(SYSTEM + system) + [self.eot]
        weights = [0.0] * len(ids)
        said = set()
        for m in messages:
            text = self.encode(m["content"]) + [self.eot]
            ids += self.header[m["role"]] + text
            weights += [0.0] * len(self.header[m["role"]])
            if m["role"] == "assistant":
                weights += [self.copied if i in said else 1.0 for i in text]
            else:
                weights += [0.0] * len(text)
                said.update(i for i in text if i not in self.common)
        return ids, weights


def rope_factors(c, factor=8.0, low=1.0, high=4.0, original=8192):
    """What Llama 3.1 divides each frequency by: 1 for short waves, factor for long ones, in between something smooth."""
    freq = c.theta ** (-torch.arange(0, c.head, 2, dtype=torch.float64) / c.head)
    wave = 2 * math.pi / freq
    smooth = ((original / wave - low) / (high - low)).clamp(0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).float(), freq


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        linear = lambda i, o: nn.Linear(i, o, bias=False)
        kv = c.kv_heads * c.head
        self.attn_norm, self.ffn_norm = nn.RMSNorm(c.hidden, c.eps), nn.RMSNorm(c.hidden, c.eps)
        self.attn_q, self.attn_k, self.attn_v = linear(c.hidden, c.hidden), linear(c.hidden, kv), linear(c.hidden, kv)
        self.attn_output = linear(c.hidden, c.hidden)
        self.ffn_gate, self.ffn_up, self.ffn_down = linear(c.hidden, c.ffn), linear(c.hidden, c.ffn), linear(c.ffn, c.hidden)

    def forward(self, x, cos, sin, future):
        b, n, _ = x.shape
        c = self.c
        h = self.attn_norm(x)
        q = rotate(self.attn_q(h).view(b, n, c.heads, c.head).transpose(1, 2), cos, sin)
        k = rotate(self.attn_k(h).view(b, n, c.kv_heads, c.head).transpose(1, 2), cos, sin)
        v = self.attn_v(h).view(b, n, c.kv_heads, c.head).transpose(1, 2)
        group = c.heads // c.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        # In full: the fused attention's way back is slower on a CPU at these lengths, by a third of a whole step.
        scores = q @ k.transpose(-1, -2) * c.head**-0.5 + future
        a = torch.softmax(scores, -1, dtype=torch.float32).to(v.dtype) @ v
        x = x + self.attn_output(a.transpose(1, 2).reshape(b, n, c.hidden))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


def rotate(x, cos, sin):
    """Rotary pairs are neighbours (2i, 2i+1), as in a GGUF file."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).to(x.dtype)


class Llama(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.token_embd = nn.Embedding(c.vocab, c.hidden)  # also the output matrix
        self.blk = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.output_norm = nn.RMSNorm(c.hidden, c.eps)
        factors, freq = rope_factors(c)
        angle = torch.outer(torch.arange(c.context, dtype=torch.float64), freq / factors)
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                std = 0.06 if "embd" in name else p.shape[1] ** -0.5
                nn.init.normal_(p, std=0 if "output" in name or "down" in name else std)
        self.induction()

    @torch.no_grad()
    def induction(self):
        """Begins with heads that spell a word on as it was spelled before, which random weights take millions of tokens to find
        (Olsson et al., In-context Learning and Induction Heads; compare Trockman and Kolter, Mimetic Initialization). Of the
        residual, coordinate 0 begins as a constant and the last head's width as free room. The first layer's head 0 looks at the
        token before, by the fast rotary pairs, and writes into the room what that token is. In the layers behind it the last head
        looks, by the slow pairs, for places where the token before is the one that it stands on, and makes the token there more
        probable."""
        c, d = self.c, self.c.head
        e, room = self.token_embd.weight, slice(c.hidden - d, c.hidden)
        size = e.norm(dim=1).mean()
        e[:, room] *= 0.1
        e[:, 0] = size
        scale = math.sqrt(c.hidden / 2)  # of what the norm makes of coordinate 0
        token = torch.zeros(d, c.hidden)  # what of a token is looked at
        token[:, 1 : c.hidden - d] = torch.randn(d, c.hidden - d - 1) / math.sqrt(c.hidden - d)
        fast, slow = 6, slice(28, d)

        first = self.blk[0]
        q, k = first.attn_q.weight[:d], first.attn_k.weight[:d]
        q[: 2 * fast], k[: 2 * fast] = 0, 0
        for i in range(fast):
            angle = c.theta ** (-2 * i / d)
            k[2 * i, 0] = 6 / scale
            q[2 * i, 0], q[2 * i + 1, 0] = 6 / scale * math.cos(angle), -6 / scale * math.sin(angle)
        first.attn_v.weight[:d] = token
        first.attn_output.weight[:, :d] = 0
        first.attn_output.weight[room, :d] = torch.eye(d) * (size / math.sqrt(d))
        for layer in self.blk[1:]:
            q, k = layer.attn_q.weight[-d:], layer.attn_k.weight[-d:]
            q[slow] = 2 * token[slow]
            k[slow] = 0
            k[slow, room] = 2 * torch.eye(d)[slow]
            v = layer.attn_v.weight[-d:]
            v[:, room] = 0
            v[:, 0] = 0
            layer.attn_output.weight[:, -d:] = v.T * (size / 2)

    def forward(self, ids):
        n = ids.shape[1]
        cos, sin = self.cos[:n], self.sin[:n]
        future = torch.full((n, n), -math.inf, device=ids.device).triu(1)
        x = self.token_embd(ids)
        for layer in self.blk:
            x = layer(x, cos, sin, future)
        return self.output_norm(x)

    def logits(self, x):
        return F.linear(x, self.token_embd.weight)
