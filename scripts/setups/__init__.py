"""Set-ups of the literature behind the ordinary interface of a system, so that shipped methods train them."""

from scripts.setups._converters import between, cosine, error, gradients
from scripts.setups._function import FunctionSystem, Physics
from scripts.setups._lab import Lab, held_out, layer_from

__all__ = [
    "FunctionSystem", "Lab", "Physics", "between", "cosine", "error", "gradients", "held_out", "layer_from",
]  # fmt: skip
