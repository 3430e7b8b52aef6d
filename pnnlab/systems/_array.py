"""Arrays that are written about once and used twice: numpy below, tensors above.

Encoders and decoders are index maps and arithmetic that numpy arrays and torch tensors share, so the same lines
make the hardware's setpoints and, above, the differentiable path of the twin.
"""

from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

__all__ = ["A", "arccos", "constant_like"]

A = TypeVar("A", bound=Any)
"""A numpy array or a torch tensor; the same kind comes out as goes in."""


def constant_like(values: npt.NDArray[np.generic], like: A) -> A:
    """Return a constant as the same kind of array as `like`, in its precision and on its processor."""
    new_tensor = getattr(like, "new_tensor", None)
    constant: Any = values.astype(like.dtype) if new_tensor is None else new_tensor(values)
    return cast(A, constant)


def arccos(values: A) -> A:
    """Return angles in rad from 0 to π, as the same kind of array."""
    of_tensor = getattr(values, "arccos", None)
    angles: Any = np.arccos(values) if of_tensor is None else of_tensor()
    return cast(A, angles)
