"""What a simulated device may tell about the truth behind it."""

from typing import Protocol, TypeVar, runtime_checkable

__all__ = ["Oracle", "Plant"]

A = TypeVar("A")


@runtime_checkable
class Plant(Protocol):
    """Simulated physics that joins simulated devices; hidden from everything above the drivers, as nature is."""

    def reseed(self, seed: int) -> None:
        """Restart every noise source of the plant and its devices from `seed`."""
        ...

    def state(self) -> dict[str, object]:
        """Return everything that later readings depend on, so that a killed run can go on bit for bit."""
        ...

    def restore(self, state: dict[str, object]) -> None:
        """Go back to what `state` returned."""
        ...


@runtime_checkable
class Oracle(Protocol):
    """A simulated sensing device that knows the noise-free answer, differentiably.

    Only ceilings and tests ask it. Arrays are of one kind in and out; a tensor gives a tensor with a gradient.
    """

    def expected(self, *setpoints: A) -> A:
        """Return the expected reading of settled setpoints (levels, V, S), batch first, in the unit of the role."""
        ...
