"""Features of a Basler camera by pypylon."""

from collections.abc import Sequence
from typing import Any

from pnnlab_drivers.genicam._features import Bounds, FeatureValue

__all__ = ["PylonTree"]


class PylonTree:
    """Features of a camera by pypylon; see `FeatureTree`.

    Args:
        genicam: The module `pypylon.genicam`.
        node_map: The opened camera's.
    """

    def __init__(self, genicam: Any, node_map: Any) -> None:
        self._genicam, self._node_map = genicam, node_map

    def has(self, name: str) -> bool:
        """See `FeatureTree.has`."""
        node = self._node_map.GetNode(name)
        return node is not None and bool(self._genicam.IsAvailable(node))

    def can_write(self, name: str) -> bool:
        """See `FeatureTree.can_write`."""
        return bool(self._genicam.IsWritable(self._node_map.GetNode(name)))

    def read(self, name: str) -> FeatureValue:
        """See `FeatureTree.read`."""
        value: FeatureValue = self._node_map.GetNode(name).Value
        return value

    def write(self, name: str, value: FeatureValue) -> None:
        """See `FeatureTree.write`."""
        node = self._node_map.GetNode(name)
        # a whole number may be meant for a float, and a float for a whole number
        node.Value = type(node.Value)(value)

    def run(self, name: str) -> None:
        """See `FeatureTree.run`."""
        self._node_map.GetNode(name).Execute()

    def bounds(self, name: str) -> Bounds:
        """See `FeatureTree.bounds`."""
        node = self._node_map.GetNode(name)
        try:
            step = float(node.Inc)
        except self._genicam.GenericException:
            step = 0.0  # floats need not have any
        except AttributeError:
            step = 0.0
        return Bounds(float(node.Min), float(node.Max), step)

    def entries(self, name: str) -> Sequence[str]:
        """See `FeatureTree.entries`."""
        return tuple(getattr(self._node_map.GetNode(name), "Symbolics", ()))
