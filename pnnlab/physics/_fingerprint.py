"""What tells that a tensor still holds the value something was computed from."""

from torch import Tensor


def fingerprint(tensor: Tensor) -> tuple[int, int]:
    """Return two numbers that change when a tensor is written into or moved.

    Writing into a tensor, as an optimiser does, counts its version up; moving its module to another torch device
    or type changes its address. Writing through `tensor.data` or in inference mode leaves both, and is not seen.
    """
    return (-1 if tensor.is_inference() else tensor._version, tensor.data_ptr())
