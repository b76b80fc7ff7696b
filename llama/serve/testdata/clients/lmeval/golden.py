"""Writes golden.json: what lm-eval's task facts gives of SmolLM2-135M-Instruct with Hugging Face's transformers in float32, on the weights
of the Q4_1 file as transformers itself dequantises them.

    python3 golden.py ../../../../../testdata/fetched/smollm2 SmolLM2-135M-Instruct.Q4_1.gguf

Run in this folder, with lm-eval[hf] and gguf (pip). Nothing is shared with the Go code.
"""
import json
import sys

from facts import evaluate

folder, name = sys.argv[1:]
acc, acc_norm, scores = evaluate("hf", {"pretrained": folder, "gguf_file": name, "dtype": "float32"}, device="cpu", batch_size=1)
with open("golden.json", "w") as f:
    rows = ",\n".join(json.dumps([round(x, 4) for x in s]) for s in scores)
    f.write(f'{{"acc": {acc}, "acc_norm": {acc_norm}, "scores": [\n{rows}\n]}}\n')
print("acc", acc, "acc_norm", acc_norm)
