"""Cells of a simulated chip that pulses move."""

from dataclasses import replace
from typing import Any, Final

import torch
from pydantic import Field, field_validator
from torch import Tensor

from pnnlab.physics import (
    PulsedCells,
    PulseResponse,
    Pulses,
    apply_pulses,
    apply_steps,
    draw_cells,
    pulse_preset,
)
from pnnlab.quantities import FrozenModel, Volts

__all__ = ["PulsedArray", "PulsesOptions"]

_SPREADS: Final = ("step_spread", "asymmetry_spread", "low_spread", "high_spread")


class PulsesOptions(FrozenModel):
    """How the cells answer pulses: a published response, and what is to be changed of it.

    What is left out is as published. Steps and bounds are in units of half the cells' window, the middle of which is 0.

    Attributes:
        response: Name of a published response (`pnnlab.physics.PULSE_PRESETS`).
        raise_v: Voltage of a pulse that raises the conductance; a label of the specimen, steps are those published.
        lower_v: Voltage of a pulse that lowers it.
        step: Mean step of the stronger direction.
        asymmetry: Part by which down steps are smaller than up steps, of all cells alike.
        step_spread: Standard deviation of the step from cell to cell, relative; times `mismatch`, as the other spreads.
        asymmetry_spread: Standard deviation of half the difference of up and down step from cell to cell, relative.
        low: Mean lower bound.
        high: Mean upper bound.
        low_spread: Standard deviation of the lower bound from cell to cell, relative.
        high_spread: The same of the upper bound.
        cycle_std: Standard deviation from pulse to pulse, relative.
    """

    response: str
    raise_v: Volts = Field(default=1.0, gt=0)
    lower_v: Volts = Field(default=-1.0, lt=0)
    step: float | None = Field(default=None, gt=0)
    asymmetry: float | None = Field(default=None, gt=-1, lt=1)
    step_spread: float | None = Field(default=None, ge=0)
    asymmetry_spread: float | None = Field(default=None, ge=0)
    low: float | None = Field(default=None, lt=0)
    high: float | None = Field(default=None, gt=0)
    low_spread: float | None = Field(default=None, ge=0)
    high_spread: float | None = Field(default=None, ge=0)
    cycle_std: float | None = Field(default=None, ge=0)

    @field_validator("response")
    @classmethod
    def _published(cls, name: str) -> str:
        return pulse_preset(name).name

    def made(self, mismatch: float) -> PulseResponse:
        """Return the response with its changes, its spreads from cell to cell scaled by `mismatch`."""
        published = pulse_preset(self.response)
        names = (*_SPREADS, "step", "asymmetry", "low", "high", "cycle_std")
        chosen: dict[str, Any] = {name: own for name in names if (own := getattr(self, name)) is not None}
        changed = replace(published, **chosen)
        scaled: dict[str, Any] = {name: abs(mismatch) * getattr(changed, name) for name in _SPREADS}
        return replace(changed, **scaled)


class PulsedArray:
    """What decides how each cell of a specimen answers pulses, in terms of conductances.

    Args:
        options: The response.
        shape: Rows and columns.
        window: Lowest and highest conductance of the cells in S: weights -1 and 1 of the response.
        mismatch: Scales the spreads from cell to cell.
        generator: Draws the specimen.
        like: A tensor of the simulation's type, on its torch device.

    Attributes:
        cells: The cells.
        low_siemens: Conductance below which pulses bring no cell, shape `(n_rows, n_columns)`.
        high_siemens: Conductance above which pulses bring no cell.
    """

    def __init__(
        self, options: PulsesOptions, shape: tuple[int, int], window: tuple[float, float], *, mismatch: float,
        generator: torch.Generator, like: Tensor,
    ) -> None:  # fmt: skip
        drawn = draw_cells(options.made(mismatch), *shape, generator, dtype=torch.float64)
        self._middle, self._half = (window[0] + window[1]) / 2, (window[1] - window[0]) / 2
        # a conductance cannot become negative, however far a published bound reaches
        floor = -self._middle / self._half
        drawn = replace(drawn, low=drawn.low.clamp(min=floor))
        parts = (part.to(like) for part in drawn.tensors())
        self.cells = PulsedCells(drawn.response, *parts)
        self.low_siemens, self.high_siemens = self._siemens(self.cells.low), self._siemens(self.cells.high)

    def reached(self, siemens: Tensor) -> Tensor:
        """Return conductances that the cells can have, nearest to these."""
        return torch.minimum(torch.maximum(siemens, self.low_siemens), self.high_siemens)

    def updated(self, siemens: Tensor, pulses: Pulses, generator: torch.Generator) -> Tensor:
        """Return what streams of pulses make of conductances in S, slot by slot."""
        return self._siemens(
            apply_pulses(self._weights(siemens), pulses, self.cells, generator=generator, order="sequential")
        )

    def stepped(self, siemens: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
        """Return what pulses of each cell's own make of conductances in S."""
        return self._siemens(apply_steps(self._weights(siemens), counts, self.cells, generator=generator))

    def _weights(self, siemens: Tensor) -> Tensor:
        w = (siemens - self._middle) / self._half
        # drift and rounding may have carried a cell beyond its bounds, from where a pulse brings it back
        return torch.minimum(torch.maximum(w, self.cells.low), self.cells.high)

    def _siemens(self, weights: Tensor) -> Tensor:
        return (self._middle + self._half * weights).clamp(min=0.0)
