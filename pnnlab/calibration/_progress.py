"""How far a calibration has got."""

from typing import Protocol

__all__ = ["Progress", "Silence"]


class Progress(Protocol):
    """Told how a calibration goes on."""

    def begin(self, what: str, steps: int) -> None:
        """Take note that something longer begins, with so many steps; what went before is done."""
        ...

    def step(self) -> None:
        """Take note that one of the steps is made."""
        ...


class Silence:
    """Tells nobody."""

    def begin(self, what: str, steps: int) -> None:
        """See `Progress.begin`."""

    def step(self) -> None:
        """See `Progress.step`."""
