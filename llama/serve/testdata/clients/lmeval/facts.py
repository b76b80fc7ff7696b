"""The task of facts.yaml and facts.jsonl by PyPI's lm-eval."""

import lm_eval
from lm_eval.tasks import TaskManager


def evaluate(model, args, **more):
    """Gives the accuracy, the accuracy of scores divided by the answers' lengths, and each question's four log-likelihoods."""
    manager = TaskManager(include_path=".", include_defaults=False)
    out = lm_eval.simple_evaluate(model=model, model_args=args, tasks=["facts"], task_manager=manager, log_samples=True, bootstrap_iters=0, **more)
    samples = sorted(out["samples"]["facts"], key=lambda s: s["doc_id"])
    result = out["results"]["facts"]
    return result["acc,none"], result["acc_norm,none"], [[r[0] for r in s["filtered_resps"]] for s in samples]
