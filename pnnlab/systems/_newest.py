"""Whether the newest reading of a short run can be that of the setpoint that stands."""

from typing import Final

from pnnlab.devices import Sensor, Stamps

__all__ = ["newest_fault"]

_GRAIN_S: Final = 1e-9
"""Rounding of times in double precision, far below any device's clock."""


def newest_fault(sensor: Sensor, stamps: Stamps, n: int, settled_s: float, *, what: str, of: str) -> str:
    """Return what is wrong with the last of `n` readings of a run that was armed after a setpoint had settled.

    A reading that began after arming, and came before the next setpoint, can be of this one only; so what is looked
    for are old readings of a queue, and those that a sensor took too early.

    Args:
        sensor: Whose reading it is.
        stamps: Of that reading.
        n: Readings of the run.
        settled_s: When the setpoint had settled.
        what: What a reading is called, for the message.
        of: What a setpoint is called.
    """
    first, modulus = sensor.first_counter, sensor.counter_modulus
    if stamps.intact is not None and not stamps.intact[0]:
        return f"a {what} was incomplete"
    if stamps.start_s is not None and stamps.start_s[0] - (sensor.stamp_error_s or 0.0) < settled_s - _GRAIN_S:
        return f"a {what} was taken before the {of} had settled"
    if stamps.counters is not None and first is not None and modulus is not None:
        # stale readings have earlier numbers, so the newest can only be one of those that were taken since
        behind = int(first + n - 1 - stamps.counters[0]) % modulus
        if behind > sensor.stale_readings:
            return f"{sensor.name} counted {int(stamps.counters[0])} where {(first + n - 1) % modulus} was due"
    return ""
