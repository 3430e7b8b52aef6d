"""The rules for a crossbar of programmable conductances."""

from collections.abc import Mapping
from typing import ClassVar, TypeVar

import numpy as np

from pnnlab.devices import CrossbarArray, Setpoint
from pnnlab.testing._checks import Check, quiet, shows
from pnnlab.testing._device import DeviceConformance
from pnnlab.testing._output import OutputRules, Realised, Values
from pnnlab.testing._subject import Call

__all__ = ["CrossbarArrayConformance"]

X = TypeVar("X", bound=CrossbarArray)


class CrossbarArrayConformance(OutputRules[X], DeviceConformance[X]):
    """What every crossbar keeps; see `DeviceConformance` for its use.

    It programs the array some tens of times: think of the endurance of real cells.
    """

    hooks: ClassVar[tuple[str, ...]] = ("_program", "_multiply", "_read_conductance")

    def calls(self, like: X) -> Mapping[str, Call[X]]:
        """See `Subject.calls`."""
        siemens = np.full(like.shape, self.idle(like, "conductance"))
        volts = np.full((2, like.shape[0]), self.idle(like, "voltage"))
        return {
            "program": lambda device: device.program(siemens),
            "multiply": lambda device: device.multiply(volts),
            "read_conductance": lambda device: device.read_conductance(),
        }

    def misfits(self, like: X) -> Mapping[str, Call[X]]:
        """See `Subject.misfits`."""
        rows, columns = like.shape
        siemens, volts = self.idle(like, "conductance"), self.idle(like, "voltage")
        programs = {
            "conductances with a row too many": (rows + 1, columns), "a row of conductances": (columns,),
            "conductances with a column too few": (rows, columns - 1), "one conductance": (),
            "two sets of conductances": (2, rows, columns),
        }  # fmt: skip
        vectors = {
            "vectors with a row too many": (2, rows + 1), "vectors with a row too few": (2, rows - 1),
            "one vector that is no batch": (rows,), "no vectors": (0, rows), "one voltage": (),
            "batches of vectors": (1, 2, rows),
        }  # fmt: skip
        calls: dict[str, Call[X]] = {}
        for what, shape in programs.items():
            calls[what] = _programming(np.full(shape, siemens))
        for what, shape in vectors.items():
            calls[what] = _multiplying(np.full(shape, volts))
        return calls

    def send(self, device: X, quantity: str, values: Values) -> Setpoint:
        """See `OutputRules.send`."""
        return device.program(values) if quantity == "conductance" else device.multiply(values)[0]

    def setpoint_shape(self, device: X, quantity: str) -> tuple[int, ...]:
        """See `OutputRules.setpoint_shape`."""
        return device.shape if quantity == "conductance" else (1, device.shape[0])

    def output_quantities(self, device: X) -> tuple[str, ...]:
        """See `OutputRules.output_quantities`."""
        return ("conductance", "voltage")

    def held_quantities(self) -> tuple[str, ...]:
        """See `OutputRules.held_quantities`: conductances stay as they are, without voltage."""
        return ("voltage",)

    def realised(self, device: X, quantity: str, values: Values) -> Realised:
        """See `OutputRules.realised`: each row's driver has steps of its own, all cells have the same."""
        if quantity == "conductance":
            return super().realised(device, quantity, values)
        return device.multiply(np.repeat(values[:, None], device.shape[0], axis=1))[0].realised

    @quiet
    def test_its_facts_agree(self, device: X) -> None:
        assert len(device.shape) == 2 and min(device.shape) > 0
        assert self.limits_of(device, "conductance")[0] >= 0, f"{device.name}: no cell has a negative conductance"

    @shows(Check.SEQUENCE)
    def test_every_vector_has_a_token_and_currents(self, device: X) -> None:
        rows, columns = device.shape
        low, high = self.limits_of(device, "voltage")
        first, _ = device.multiply(np.full((1, rows), low))
        n = columns + 1  # not square: a transposed answer does not fit
        setpoint, amps = device.multiply(np.linspace(low, high, n * rows).reshape(n, rows))
        assert setpoint.tokens == range(first.tokens.stop, first.tokens.stop + n)
        assert amps.shape == (n, columns)
        assert np.isfinite(amps).all()

    def test_currents_and_conductances_belong_to_the_caller(self, device: X) -> None:
        volts = np.full((2, device.shape[0]), self.limits_of(device, "voltage")[1])
        _, amps = device.multiply(volts)
        siemens = device.read_conductance()
        kept = amps.copy(), siemens.copy()
        device.multiply(-volts if -volts.min() >= self.limits_of(device, "voltage")[0] else 0 * volts)
        device.program(np.full(device.shape, self.limits_of(device, "conductance")[1]))
        device.read_conductance()
        np.testing.assert_array_equal(amps, kept[0], "a later multiplication changed the currents of an earlier one")
        np.testing.assert_array_equal(siemens, kept[1], "a later reading changed the conductances of an earlier one")

    @shows(Check.REALISED)
    def test_every_cell_is_read(self, device: X) -> None:
        siemens = device.read_conductance()
        assert siemens.shape == device.shape
        assert np.isfinite(siemens).all()


def _programming(siemens: Values) -> Call[X]:
    return lambda device: device.program(siemens)


def _multiplying(volts: Values) -> Call[X]:
    return lambda device: device.multiply(volts)
