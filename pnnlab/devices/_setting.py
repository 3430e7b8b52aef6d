"""What one setting of a device can be."""

__all__ = ["SettingValue"]

SettingValue = str | int | float | bool | list[int] | list[float] | None
"""One entry of a settings snapshot or of a driver's options; SI units, the unit in the key's suffix."""
