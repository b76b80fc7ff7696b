"""Hidden states of SmolLM2-135M-Instruct by Hugging Face's transformers in float32, pooled as Model.Embed does: embed.npy, float32
[2 poolings, texts, hidden]. The ids of embed.json are written again by its tokenizer.

    python3 llama/testdata/embed.py   # needs torch, transformers, accelerate and gguf (pip)

Run from the module's root after go run ./testdata/fetch smollm2. transformers dequantises the file's weights itself. Nothing is shared
with the Go code.
"""
import json
import os

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

here = os.path.dirname(os.path.abspath(__file__))
folder, name = "testdata/fetched/smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
texts = [x["text"] for x in json.load(open(os.path.join(here, "embed.json")))]

tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
ids = [tokenizer(x, add_special_tokens=False)["input_ids"] for x in texts]
with torch.no_grad():
    states = [model.model(torch.tensor([x])).last_hidden_state[0].numpy() for x in ids]
lines = [json.dumps({"text": t, "ids": i}, ensure_ascii=False) for t, i in zip(texts, ids)]
open(os.path.join(here, "embed.json"), "w").write("[\n" + ",\n".join(lines) + "\n]\n")
pooled = np.stack([[s.mean(0, dtype=np.float64) for s in states], [s[-1] for s in states]]).astype(np.float32)
np.save(os.path.join(here, "embed.npy"), pooled)
print(pooled.shape, pooled[0, 0, :4], pooled[1, 0, :4])
