"""The features of a camera that speaks GenICam: checked before they are written, and read back."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pnnlab.errors import DeviceError, SetpointError

__all__ = ["Bounds", "FeatureTree", "FeatureValue", "Features"]

_LOG = logging.getLogger(__name__)

FeatureValue = bool | int | float | str
_GRAIN: Final = 1e-6
"""Numbers that differ by so little, relatively, are one: cameras and their descriptions round."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be."""

    low: float
    high: float
    step: float = 0.0


class FeatureTree(Protocol):
    """A vendor's way to a camera's features, by the names of the standard (SFNC)."""

    def has(self, name: str) -> bool:
        """Return whether the camera has a feature, and has it now."""
        ...

    def can_write(self, name: str) -> bool:
        """Return whether a feature can be set now."""
        ...

    def read(self, name: str) -> FeatureValue:
        """Return what a feature is."""
        ...

    def write(self, name: str, value: FeatureValue) -> None:
        """Set a feature."""
        ...

    def run(self, name: str) -> None:
        """Carry out a command."""
        ...

    def bounds(self, name: str) -> Bounds:
        """Return what a number may be now."""
        ...

    def entries(self, name: str) -> Sequence[str]:
        """Return the choices of an enumeration; nothing where the feature is none."""
        ...


class Features:
    """A camera's features. What it does not have, or not so, is refused before anything is written.

    Some cameras take a value out of their range without a word, so all that is written is read back.

    Args:
        device: The camera's name in the bench file.
        tree: The vendor's way to them.
    """

    def __init__(self, device: str, tree: FeatureTree) -> None:
        self._device, self._tree = device, tree

    def one_of(self, *names: str) -> str | None:
        """Return the first of several names for the same thing that the camera has."""
        return next((name for name in names if self._tree.has(name)), None)

    def read(self, name: str) -> FeatureValue:
        """Return what a feature is."""
        return self._tree.read(name)

    def number(self, *names: str) -> float | None:
        """Return what a number is that may have several names; `None` where the camera has none of them."""
        name = self.one_of(*names)
        return None if name is None else float(self._tree.read(name))

    def integer(self, name: str) -> int:
        """Return what a whole number is."""
        return int(self._tree.read(name))

    def entries(self, name: str) -> Sequence[str]:
        """Return the choices of an enumeration; nothing where the camera has no such feature."""
        return self._tree.entries(name) if self._tree.has(name) else ()

    def bounds(self, name: str) -> Bounds:
        """Return what a number may be now."""
        return self._tree.bounds(name)

    def run(self, name: str) -> None:
        """Carry out a command."""
        self._tree.run(name)

    def set(self, name: str, value: FeatureValue) -> None:
        """Make a feature just so.

        Raises:
            SetpointError: The camera does not have it, or not so; nothing was written.
            DeviceError: The camera took it without a word and did something else.
        """
        found = self.set_near(name, value)
        if not _same(found, value):
            raise self._otherwise(name, value, found)

    def set_if_there(self, name: str, value: FeatureValue) -> None:
        """Make a feature just so where the camera has it, has this choice, and lets it be set."""
        if not self._tree.has(name) or (isinstance(value, str) and value not in self._tree.entries(name)):
            return
        if not self._tree.can_write(name) and not _same(self._tree.read(name), value):
            _LOG.warning("%s: %s is %s and cannot be set to %s", self._device, name, self._tree.read(name), value)
            return
        self.set(name, value)

    def set_near(self, name: str, value: FeatureValue, *, within: float = math.inf) -> FeatureValue:
        """Make a feature what the camera can do nearest to `value`, and return what that is.

        Args:
            name: The feature.
            value: What is asked for.
            within: How far a number may be from that at the most.

        Raises:
            SetpointError: The camera does not have it, or not so; nothing was written.
            DeviceError: The camera took it without a word and did something else.
        """
        tree = self._tree
        if not tree.has(name):
            raise SetpointError(f"{self._device}: the camera has no feature {name} (now); nothing was sent")
        if _same(tree.read(name), value):
            return tree.read(name)
        self._check(name, value)
        tree.write(name, value)
        found = tree.read(name)
        if not isinstance(value, str | bool) and not abs(float(found) - value) <= within:
            raise self._otherwise(name, value, found)
        return found

    def _check(self, name: str, value: FeatureValue) -> None:
        entries = self._tree.entries(name)
        if isinstance(value, str):
            if entries and value not in entries:
                raise SetpointError(
                    f"{self._device}: {name} {value!r} is asked for, the camera has {', '.join(entries)}; "
                    "nothing was sent"
                )
            return
        if isinstance(value, bool) or entries:
            return
        bounds = self._tree.bounds(name)
        slack = _GRAIN * max(abs(bounds.low), abs(bounds.high)) if math.isfinite(bounds.high) else 0.0
        if not bounds.low - slack <= value <= bounds.high + slack:
            raise SetpointError(
                f"{self._device}: {name} {value:g} is asked for, the camera allows {bounds.low:g} to "
                f"{bounds.high:g} now; nothing was sent"
            )

    def _otherwise(self, name: str, value: FeatureValue, found: FeatureValue) -> DeviceError:
        return DeviceError(
            f"{self._device}: {name} {value!r} was sent, the camera took it without a word and says {found!r} now; "
            "ask for a value that it keeps"
        )


def _same(found: FeatureValue, value: FeatureValue) -> bool:
    if isinstance(found, str) or isinstance(value, str):
        return found == value
    return math.isclose(found, value, rel_tol=_GRAIN, abs_tol=0.0)
