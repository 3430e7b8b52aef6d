"""How long light and circuits take: from calibration where there is one, from the data sheet where there is none."""

from dataclasses import dataclass

__all__ = ["DATA_SHEET", "Timing"]

DATA_SHEET = "data sheet"


@dataclass(frozen=True, slots=True)
class Timing:
    """The times that decide when a reading is of a setpoint.

    Attributes:
        settle_s: From the change of a setpoint to a settled one, in s.
        latency_s: Least and most time from the hand-over of a setpoint to its change, in s.
        sources: Where each comes from: the id of a calibration record, or `data sheet`.
    """

    settle_s: float
    latency_s: tuple[float, float]
    sources: tuple[str, str] = (DATA_SHEET, DATA_SHEET)

    @property
    def latency_spread_s(self) -> float:
        """Return by how much the latency may differ from one hand-over to the next, in s."""
        return self.latency_s[1] - self.latency_s[0]
