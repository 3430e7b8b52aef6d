"""The weights of one crossbar, moved by pulses and known by reading."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from pnnlab.errors import RunError
from pnnlab.methods._method import MethodOptions
from pnnlab.physics import balanced_pulses, even_pulses
from pnnlab.systems import FloatArray, PulsedArray, System

__all__ = ["PulseOptions", "PulsedWeights"]

Counts = npt.NDArray[np.int64]
_READINGS = 8
"""Readings of which the symmetry point is the mean."""
_PROBE_PULSES = 8
"""Pulses up, and as many down, by which the step is found; the mean of all cells of an array is taken."""


class PulseOptions(MethodOptions):
    """How pulses are sent.

    Attributes:
        learning_rate: Change of a weight per unit of the gradient; falls as the recipe's learning rate does.
        pulses: `stochastic` streams, whose coincidences have the right mean whatever the numbers (Gokmen & Vlasov
            2016), or `even` ones without chance, which lose what rounds to no pulse.
        slots: Longest stream of a sample.
        step: Mean step of a weight for one pulse; measured by pulses up and down before the first step if `null`.
    """

    learning_rate: float = Field(default=0.1, gt=0)
    pulses: Literal["stochastic", "even"] = "stochastic"
    slots: int = Field(default=31, gt=0)
    step: float | None = Field(default=None, gt=0)


class PulsedWeights:
    """One crossbar that learns in place.

    Args:
        system: A crossbar whose cells can be pulsed.
        options: How.
        generator: Draws stochastic streams.

    Attributes:
        array: The system.
        step: Mean step of a weight; 0 until it is known.

    Raises:
        RunError: The system is no such crossbar.
    """

    def __init__(self, system: System, options: PulseOptions, generator: torch.Generator) -> None:
        if not isinstance(system, PulsedArray):
            raise RunError(
                f"{system.name}: its kind, {system.config.kind!r}, has no weights that pulses move; use a system of "
                "the kind 'crossbar'"
            )
        self.system, self.array = system, system
        self._options, self._generator = options, generator
        self.step = options.step or 0.0

    def descend(self, x: FloatArray, d: FloatArray, learning_rate: float) -> None:
        """Pulse all weights at once, by -learning_rate times the gradient on average.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            d: Gradient of the loss with respect to each output, shape `(batch, n_out)`.
            learning_rate: In weights per unit of the gradient.
        """
        inputs, errors = torch.from_numpy(np.array(x)), torch.from_numpy(np.array(d)) * self.array.gain
        rate, slots = learning_rate, self._options.slots
        if self._options.pulses == "even":
            sent = even_pulses(inputs, errors, lr=rate, step=self.step, max_slots=slots)
        else:
            sent = balanced_pulses(
                inputs, errors, lr=rate, step=self.step, max_slots=slots, generator=self._generator
            )  # fmt: skip
        if len(sent.rows):
            self.array.pulse(sent.rows.numpy(), sent.columns.numpy())

    def step_row(self, row: int, counts: Counts) -> None:
        """Give the weights of one row pulses of their own, all columns in parallel: how many up, shape `(n_out,)`."""
        n_slots = int(np.abs(counts).max())
        if not n_slots:
            return
        rows = np.zeros((n_slots, self.system.n_in), np.int8)
        rows[:, row] = 1
        columns = (np.arange(n_slots)[:, None] < np.abs(counts)) * np.sign(counts)
        self.array.pulse(rows, columns.astype(np.int8))

    def read_rows(self, rows: Counts, theta: FloatArray) -> FloatArray:
        """Return the weights of some rows, shape `(n, n_out)`, by a shot each in which that input alone is 1.

        Args:
            rows: Which, shape `(n,)`.
            theta: Controls that the system holds, shape `(n_controls,)`.
        """
        x = np.zeros((len(rows), self.system.n_in), self.system.dtype)
        x[np.arange(len(rows)), rows] = 1
        found: FloatArray = self.system.measure(x, theta).y / self.array.gain
        return found

    def settle(self, pairs: int) -> FloatArray:
        """Pulse all weights up and down in turn, until each is where both are equal; return the weights there.

        Noise from pulse to pulse keeps weights moving about that point, so they are read several times, with as many
        pulses again spread between the readings.

        Args:
            pairs: How often.
        """
        self._alternate(pairs)
        found = []
        for _ in range(_READINGS):
            self._alternate(-(-pairs // _READINGS))
            found.append(self.array.read_weights())
        mean: FloatArray = np.mean(found, axis=0)
        return mean

    def _alternate(self, pairs: int) -> None:
        columns = np.ones((2 * pairs, self.system.n_out), np.int8)
        columns[1::2] = -1
        self.array.pulse(np.ones((2 * pairs, self.system.n_in), np.int8), columns)

    def find_step(self) -> None:
        """Measure the mean step: pulses up, and as many down, between three readings."""
        up = np.full((self.system.n_in, self.system.n_out), _PROBE_PULSES, np.int64)
        before = self.array.read_weights()
        self.array.step(up)
        top = self.array.read_weights()
        self.array.step(-up)
        after = self.array.read_weights()
        self.step = float((2 * top - before - after).mean()) / (2 * _PROBE_PULSES)
        if not self.step > 0:
            raise RunError(
                f"{self.system.name}: pulses up and down move the weights by {self.step:.3g} a pulse on average, "
                "which is no step to count on; look at the pulses' voltages, and at which polarity sets"
            )
