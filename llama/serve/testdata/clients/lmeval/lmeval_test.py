"""PyPI's lm-eval against the server at $LLAMA31_URL: the accuracy is that of Hugging Face's model in float32 (golden.json)."""

import json
import os
import unittest

from facts import evaluate

URL, MODEL = os.environ["LLAMA31_URL"], os.environ["LLAMA31_MODEL"]
# By how much log-likelihoods may differ, and how many answers: activations of 8 bits turn near ties.
MOST, TIES = {"smol": (2, 1), "exact": (1e-3, 0)}[MODEL]


class Accuracy(unittest.TestCase):
    def test_facts(self):
        with open("golden.json") as f:
            golden = json.load(f)
        acc, acc_norm, scores = evaluate("local-completions", {"base_url": URL + "/v1/completions", "model": MODEL, "num_concurrent": 4, "batch_size": 8})
        most = max(abs(a - b) for x, y in zip(scores, golden["scores"], strict=True) for a, b in zip(x, y, strict=True))
        print(f"{MODEL}: acc {acc:.4f}, acc_norm {acc_norm:.4f}; float32 {golden['acc']:.4f}, {golden['acc_norm']:.4f}; log-likelihoods differ by {most:.4f} at most")
        for got, want in (acc, golden["acc"]), (acc_norm, golden["acc_norm"]):
            self.assertLessEqual(abs(got - want) * len(scores), TIES + 1e-9)
        self.assertLess(most, MOST)


if __name__ == "__main__":
    unittest.main()
