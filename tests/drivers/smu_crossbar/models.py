"""Cells behind a switch matrix and a source-measure unit: a model of each, in both languages, and of the cells.

Written after the reference manuals of the Series 2600, 707B and 2400 and of the 34980A, not after the driver.
"""

import re
from collections.abc import Callable

import numpy as np

from tests.drivers.scpi.model import ScpiError, ScpiModel

__all__ = ["Cells", "ScpiMatrixModel", "ScpiSmuModel", "TspMatrixModel", "TspSmuModel"]


class Cells:
    """Bipolar cells: above a threshold a voltage moves them, by more the higher it is; below it they stay.

    Attributes:
        siemens: Conductances, shape `(rows, columns)`.
        closed: Crosspoints that are closed.
        output: Whether the source is connected.
        level: Its voltage in V.
        hot: How often a crosspoint was switched under voltage.
        worn: Crosspoints that do not close.
    """

    def __init__(self, rows: list[str], columns: list[str], start: float = 20e-6) -> None:
        self.rows, self.columns = rows, columns
        self.siemens = np.full((len(rows), len(columns)), start)
        self.stuck = np.zeros_like(self.siemens, bool)
        self.closed: set[str] = set()
        self.output, self.level, self.hot = False, 0.0, 0
        self.worn: set[str] = set()

    def switch(self, closed: set[str]) -> None:
        """Close these crosspoints and open the others."""
        if closed != self.closed and self.output and self.level:
            self.hot += 1
        self.closed = closed - self.worn

    def set_level(self, volts: float) -> None:
        """Put a voltage on; what is selected is moved by it."""
        self.level = volts
        if self.output and abs(volts) > 0.5:
            change = np.sign(volts) * 2e-6 * (abs(volts) - 0.4)
            moved = np.clip(self.siemens + change, 1e-6, 200e-6)
            self.siemens = np.where(self._selected() & ~self.stuck, moved, self.siemens)

    def current_a(self) -> float:
        """Return the current of the source."""
        return float((self.siemens * self._selected()).sum() * self.level) if self.output else 0.0

    def _selected(self) -> np.ndarray:
        rows = np.array([row in self.closed for row in self.rows])
        return rows[:, None] & np.array([column in self.closed for column in self.columns])


class TspModel:
    """Statements of Lua, as far as the driver's instruments need them; one error ends a message."""

    identity = "Keithley Instruments Inc., Model 2602B, 4001234, 3.3.5"

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.gullible = False

    def __call__(self, message: bytes) -> bytes | None:
        """Answer a message."""
        text = message.decode()
        if text == "*IDN?":
            return self.identity.encode()
        printed: list[str] = []
        for match in re.finditer(r'print\(((?:"[^"]*"|\([^()]*\)|[^()])*)\)|(\S+(?:\((?:"[^"]*"|[^()])*\))?)', text):
            if match[1] is not None:
                printed.append("\t".join(self._value(part.strip()) for part in re.split(r", (?![^(]*\))", match[1])))
            elif not self._do(match[2]):
                self.errors.append(f"-285\tTSP Syntax error at {match[2]}\t20\t1")
        return "\n".join(printed).encode() if printed else None

    def _value(self, expression: str) -> str:
        if expression.startswith('"'):
            return expression.strip('"')
        if expression == "errorqueue.count":
            return f"{len(self.errors):.5e}"
        if expression == "errorqueue.next()":
            return self.errors.pop(0)
        return self.value(expression)

    def _do(self, statement: str) -> bool:
        if statement == "waitcomplete()" or statement.startswith("delay("):
            return True
        name, equals, value = statement.partition("=")
        return self.assign(name, value) if equals else self.call(statement)

    def value(self, expression: str) -> str:
        """Return what an expression prints."""
        return "nil"

    def assign(self, name: str, value: str) -> bool:
        """Take an assignment; return whether there is such a thing."""
        return False

    def call(self, statement: str) -> bool:
        """Call a function; return whether there is such a one."""
        return False


class TspMatrixModel(TspModel):
    """A 707B."""

    identity = "Keithley Instruments Inc., Model 707B, 1234567, 01.20"

    def __init__(self, cells: Cells, points: list[str]) -> None:
        super().__init__()
        self._cells, self._points = cells, points

    def value(self, expression: str) -> str:
        """See `TspModel.value`."""
        return ";".join(sorted(self._cells.closed)) or "nil"

    def call(self, statement: str) -> bool:
        """See `TspModel.call`."""
        match = re.fullmatch(r'channel\.(open|close)\("([^"]*)"\)', statement)
        if match is None:
            return False
        if match[1] == "open":
            self._cells.switch(set())
            return True
        names = match[2].split(",")
        if unknown := [name for name in names if name not in self._points]:
            self.errors.append(f"1114\tSettings conflict, no {unknown[0]}\t20\t1")
            return True
        self._cells.switch(self._cells.closed | set(names))
        return True


class TspSmuModel(TspModel):
    """One channel of a 2602B."""

    def __init__(self, cells: Cells) -> None:
        super().__init__()
        self._cells = cells
        self._limit_a, self.range_v = 1e-3, 1.0

    def value(self, expression: str) -> str:
        """See `TspModel.value`."""
        current = self._cells.current_a()
        found = {
            "smua.measure.i()": f"{np.clip(current, -self._limit_a, self._limit_a):.6e}",
            "smua.source.compliance": str(abs(current) > self._limit_a).lower(),
            "smua.source.levelv": f"{self._cells.level:.6e}",
        }
        return found.get(expression, "nil")

    def assign(self, name: str, value: str) -> bool:
        """See `TspModel.assign`."""
        actions: dict[str, Callable[[], object]] = {
            "smua.source.output": lambda: self._set_output(value.endswith("_ON")),
            "smua.source.func": lambda: None,
            "smua.source.rangev": lambda: setattr(self, "range_v", float(value)),
            "smua.source.levelv": lambda: self._set_level(float(value)),
            "smua.source.limiti": lambda: setattr(self, "_limit_a", float(value)),
            "smua.measure.autorangei": lambda: None,
            "smua.measure.nplc": lambda: None,
        }
        if name not in actions:
            return False
        actions[name]()
        return True

    def _set_output(self, on: bool) -> None:
        self._cells.output = on

    def _set_level(self, volts: float) -> None:
        if abs(volts) > 1.01 * self.range_v:
            if not self.gullible:
                self.errors.append("1102\tParameter too big\t20\t1")
                return
            volts = float(np.clip(volts, -self.range_v, self.range_v))
        self._cells.set_level(volts)


class ScpiSmuModel(ScpiModel):
    """A 2400."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._limit_a, self._range_v = 1e-3, 1.0
        super().__init__(
            "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C30",
            {
                "OUTPut": lambda state: setattr(cells, "output", state.upper() in ("ON", "1")),
                "SOURce:FUNCtion": lambda kind: None,
                "SOURce:VOLTage:MODE": lambda mode: None,
                "SOURce:VOLTage:RANGe": lambda v: setattr(self, "_range_v", float(v)),
                "SOURce:VOLTage": self._set_level,
                "SOURce:VOLTage?": lambda: f"{cells.level:+.6E}",
                "SENSe:FUNCtion": lambda kind: None,
                "SENSe:CURRent:PROTection": lambda a: setattr(self, "_limit_a", float(a)),
                "SENSe:CURRent:PROTection:TRIPped?": lambda: str(int(abs(cells.current_a()) > self._limit_a)),
                "SENSe:CURRent:NPLCycles": lambda n: None,
                "FORMat:ELEMents": lambda elements: None,
                "READ?": lambda: f"{np.clip(cells.current_a(), -self._limit_a, self._limit_a):+.6E}",
            },
        )

    def _set_level(self, volts: str) -> None:
        if abs(float(volts)) > 1.05 * self._range_v:
            raise ScpiError(-222, "Parameter data out of range")
        self._cells.set_level(float(volts))


class ScpiMatrixModel(ScpiModel):
    """A 34980A with a matrix module."""

    def __init__(self, cells: Cells, points: list[str]) -> None:
        def named(*names: str) -> list[str]:
            found = [name.strip("(@)") for name in names]
            if unknown := [name for name in found if name not in points]:
                raise ScpiError(-222, f"Data out of range; {unknown[0]}")
            return found

        super().__init__(
            "Agilent Technologies,34980A,MY44001234,2.43-2.43-0.00-0.00",
            {
                "ROUTe:OPEN:ALL": lambda: cells.switch(set()),
                "ROUTe:CLOSe": lambda *names: cells.switch(cells.closed | set(named(*names))),
                "ROUTe:CLOSe?": lambda *names: ",".join(str(int(name in cells.closed)) for name in named(*names)),
            },
        )
