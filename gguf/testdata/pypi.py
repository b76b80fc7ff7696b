"""Prints what PyPI's gguf package reads from a file, as JSON: metadata in order,
tensors with shape (rows first), type and the SHA-256 of their bytes.

    pip install gguf==0.19.0
    python pypi.py FILE
"""

import hashlib
import json
import sys

from gguf import GGUFReader

r = GGUFReader(sys.argv[1])
json.dump(
    {
        "metadata": [[k, f.contents()] for k, f in r.fields.items() if not k.startswith("GGUF.")],
        "tensors": [
            [t.name, t.tensor_type.name, [int(n) for n in reversed(t.shape)], hashlib.sha256(t.data.tobytes()).hexdigest()]
            for t in r.tensors
        ],
    },
    sys.stdout,
)
