"""PyPI's lm-eval against the server at $LLAMA31_URL: the accuracy is that of Hugging Face's model in float32 (golden.json)."""

import json
import os
import unittest

from facts import evaluate

URL, MODEL = os.environ["LLAMA31_URL"], os.environ["LLAMA31_MODEL"]
# By how much log-likelihoods may differ, and the numbers of right answers. Activations of 8 bits turn near ties: how near to the best of float32 the answer then is,
# and how near if both are divided by the answers' lengths.
MOST, ANSWERS, NEAR, NEAR_NORM = {"smol": (2, 2, 0.5, 0.05), "exact": (1e-3, 0, 2e-3, 2e-3)}[MODEL]


def best(scores, lengths):
    return max(range(len(scores)), key=lambda i: scores[i] / lengths[i])


class Accuracy(unittest.TestCase):
    def test_facts(self):
        with open("golden.json") as f:
            golden = json.load(f)
        with open("facts.jsonl") as f:
            choices = [json.loads(line)["choices"] for line in f]
        acc, acc_norm, scores = evaluate("local-completions", {"base_url": URL + "/v1/completions", "model": MODEL, "num_concurrent": 4, "batch_size": 8})
        most = max(abs(a - b) for x, y in zip(scores, golden["scores"], strict=True) for a, b in zip(x, y, strict=True))
        print(f"{MODEL}: acc {acc:.4f}, acc_norm {acc_norm:.4f}; float32 {golden['acc']:.4f}, {golden['acc_norm']:.4f}; log-likelihoods differ by {most:.4f} at most")
        self.assertLess(most, MOST)
        for got, want in (acc, golden["acc"]), (acc_norm, golden["acc_norm"]):
            self.assertLessEqual(abs(got - want) * len(scores), ANSWERS + 1e-9)
        for i, (ours, theirs, texts) in enumerate(zip(scores, golden["scores"], choices, strict=True)):
            for near, lengths in (NEAR, [1] * len(texts)), (NEAR_NORM, [len(t) for t in texts]):
                a, b = best(ours, lengths), best(theirs, lengths)
                self.assertLess(theirs[b] / lengths[b] - theirs[a] / lengths[a], near, f"question {i}: answer {a}, float32's {b}")


if __name__ == "__main__":
    unittest.main()
