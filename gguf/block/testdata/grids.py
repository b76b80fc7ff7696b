"""Writes ../grids.bin: the grids of the IQ1 to IQ3 formats, as PyPI's gguf package
packs them, one after the other in the order of GRIDS.

    pip install gguf==0.19.0
    python grids.py
"""

import os

from gguf import quants

GRIDS = ["IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S"]

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "grids.bin"), "wb") as f:
    for name in GRIDS:
        f.write(bytes.fromhex(getattr(quants, name).grid_hex.decode()))
