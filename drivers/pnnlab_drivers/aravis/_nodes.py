"""Features of a camera by Aravis."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from pnnlab.errors import DeviceError
from pnnlab_drivers.genicam._features import Bounds, FeatureValue

__all__ = ["AravisTree"]

R = TypeVar("R")
_NO_STEP: Final = 1e-300
"""The library's way to say that a float has no steps."""


class AravisTree:
    """Features of a camera by Aravis; see `FeatureTree`.

    Args:
        device: The camera's name in the bench file.
        library: Aravis.
        handle: The opened device.
        on_silence: Called when the camera does not answer.
    """

    def __init__(self, device: str, library: Any, handle: Any, on_silence: Callable[[], None]) -> None:
        self._device, self._library, self._handle, self._on_silence = device, library, handle, on_silence

    def has(self, name: str) -> bool:
        """See `FeatureTree.has`."""
        return bool(self._ask(self._handle.is_feature_available, name))

    def can_write(self, name: str) -> bool:
        """See `FeatureTree.can_write`."""
        modes = self._library.GcAccessMode
        return self._ask(self._handle.get_feature_access_mode, name) in (modes.RW, modes.WO)

    def read(self, name: str) -> FeatureValue:
        """See `FeatureTree.read`."""
        value: FeatureValue = self._ask(getattr(self._handle, f"get_{self._kind(name)}_feature_value"), name)
        return value

    def write(self, name: str, value: FeatureValue) -> None:
        """See `FeatureTree.write`."""
        kind = self._kind(name)
        casts: dict[str, Callable[[Any], FeatureValue]] = {
            "boolean": bool, "integer": round, "float": float, "string": str,
        }  # fmt: skip
        self._ask(getattr(self._handle, f"set_{kind}_feature_value"), name, casts[kind](value))

    def run(self, name: str) -> None:
        """See `FeatureTree.run`."""
        self._ask(self._handle.execute_command, name)

    def bounds(self, name: str) -> Bounds:
        """See `FeatureTree.bounds`."""
        kind, handle = self._kind(name), self._handle
        low, high = self._ask(getattr(handle, f"get_{kind}_feature_bounds"), name)
        step = float(self._ask(getattr(handle, f"get_{kind}_feature_increment"), name))
        return Bounds(float(low), float(high), step if step > _NO_STEP else 0.0)

    def entries(self, name: str) -> Sequence[str]:
        """See `FeatureTree.entries`."""
        if not isinstance(self._handle.get_feature(name), self._library.GcEnumeration):
            return ()
        return tuple(self._ask(self._handle.dup_available_enumeration_feature_values_as_strings, name))

    def _kind(self, name: str) -> str:
        """Return how the library calls the type of a feature."""
        node, library = self._handle.get_feature(name), self._library
        # an enumeration is a whole number, too
        kinds = {
            "string": (library.GcEnumeration, library.GcString), "boolean": (library.GcBoolean,),
            "integer": (library.GcInteger,), "float": (library.GcFloat,),
        }  # fmt: skip
        return next(kind for kind, types in kinds.items() if isinstance(node, types))

    def _ask(self, call: Callable[..., R], *args: FeatureValue) -> R:
        try:
            return call(*args)
        except Exception as error:  # the library's errors are all of one type, which has no name before it is loaded
            text = str(error)
            kinds = self._library.DeviceError
            quark = self._library.device_error_quark()
            silent = any(error.matches(quark, kind) for kind in (kinds.TIMEOUT, kinds.NOT_CONNECTED))  # type: ignore[attr-defined]
        finally:
            del call  # an error lives on, and would keep the camera
        what = ", ".join(map(repr, args))
        if silent:
            self._on_silence()
            raise DeviceError(
                f"{self._device}: the camera did not answer when asked for {what} ({text}): it was unplugged, lost its "
                "power, or another program took it; look at it, close the device and open it again"
            )
        raise DeviceError(
            f"{self._device}: the camera does not do {what}: {text}; look at its manual, close the device and open it "
            "again"
        )
