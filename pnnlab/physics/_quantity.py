"""A physical quantity of a module."""

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

QuantityLike: TypeAlias = Tensor | float | Sequence[float]
T = TypeVar("T")


def register_quantity(
    module: nn.Module,
    name: str,
    value: QuantityLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Register a quantity as trained or fixed, as the caller's type says.

    An `nn.Parameter` becomes a parameter of the module and is trained; a tensor or a number becomes a buffer,
    which moves with `Module.to` and is saved, but is not trained.

    Args:
        module: Owner of the quantity.
        name: Attribute under which the quantity is found.
        value: The quantity, in the unit that its name says. Tensors keep their dtype.
        shape: The quantity must broadcast to this shape; `None` allows any.
        dtype: Type of a number; `None` means torch's default type. Without effect on tensors.

    Raises:
        ValueError: If the quantity has another shape, or holds NaN or infinity.
    """
    if not isinstance(value, Tensor):
        value = torch.tensor(value, dtype=dtype or torch.get_default_dtype())
    owner = type(module).__name__
    if shape is not None and not _broadcasts(tuple(value.shape), shape):
        raise ValueError(f"{owner}: {name} has shape {tuple(value.shape)}, expected one that broadcasts to {shape}")
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{owner}: {name} holds NaN or infinity, expected finite numbers")
    if isinstance(value, nn.Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


class Derived(Generic[T]):
    """A value computed from quantities, kept until one of them changes.

    The value is computed anew on every call while a quantity requires grad, because it then carries the graph
    of that call. A change is seen by the tensor's identity and version counter, so every in-place operation,
    `load_state_dict` and `Module.to` count; writing through `Tensor.data` bypasses the counter and does not.
    `of` changes the state.
    """

    def __init__(self) -> None:
        self._kept: tuple[Hashable, tuple[Tensor, ...], tuple[int, ...], T] | None = None

    def __deepcopy__(self, memo: object) -> "Derived[T]":
        """Return an empty one: a copied tensor counts its versions from the start, so the copy could not tell."""
        return Derived()

    def of(self, quantities: Sequence[Tensor], key: Hashable, compute: Callable[[], T]) -> T:
        """Return the value for these quantities and this key.

        Args:
            quantities: All tensors that the value depends on.
            key: Everything else that the value depends on.
            compute: Computes the value.
        """
        if torch.is_grad_enabled() and any(quantity.requires_grad for quantity in quantities):
            return compute()
        # Parameters keep their identity when they change device or type.
        key = (key, *((quantity.dtype, quantity.device) for quantity in quantities))
        versions = tuple(-1 if quantity.is_inference() else quantity._version for quantity in quantities)
        if self._kept is not None:
            kept_key, kept_quantities, kept_versions, value = self._kept
            same = len(kept_quantities) == len(quantities) and all(map(_is, kept_quantities, quantities))
            if same and kept_key == key and kept_versions == versions:
                return value
        # A value born in inference mode could not be saved for a later backward pass.
        with torch.inference_mode(mode=False):
            value = compute()
        # One assignment, so that threads that share a module never meet half a change.
        self._kept = (key, tuple(quantities), versions, value)
        return value


def _is(left: Tensor, right: Tensor) -> bool:
    return left is right


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    if len(shape) > len(target):
        return False
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return all(found in (1, wanted) for found, wanted in pairs)
