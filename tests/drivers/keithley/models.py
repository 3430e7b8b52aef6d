"""Source-measure units of Keithley for tests, after their manuals: the 2400 (SCPI) and the 2600 (TSP)."""

import re
from collections.abc import Callable

from tests.drivers.scpi.model import ScpiError, ScpiModel

__all__ = ["Source", "SourceMeter2400", "TspInstrument", "source_meter_2600"]


class Source:
    """A voltage source with a limit of its current, and what is connected to it.

    Attributes:
        conductance: Returns the conductance that is connected now, in S.
    """

    def __init__(self, conductance: Callable[[], float]) -> None:
        self.conductance = conductance
        self.level = 0.0
        self.limit_a = 1e-4
        self.on = False

    def measured(self) -> tuple[float, float]:
        """Return volts and amps at the output."""
        if not self.on:
            return 0.0, 0.0
        siemens = self.conductance()
        amps = self.level * siemens
        if abs(amps) > self.limit_a:
            amps = self.limit_a if amps > 0 else -self.limit_a
            return amps / siemens, amps
        return self.level, amps


class SourceMeter2400(ScpiModel):
    """A 2400 behind its socket adapter."""

    def __init__(self, conductance: Callable[[], float] = lambda: 1e-6) -> None:
        self.source = Source(conductance)
        self.remembered = {"function": "VOLT", "range": "21"}
        super().__init__("KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C30   Mar 17 2006 09:29:29/A02  /K/J", {
            "FORMat:ELEMents": lambda *names: None,
            "FORMat:ELEMents?": lambda: "VOLT,CURR,RES,TIME,STAT",
            "SOURce:FUNCtion": lambda name: self.remembered.update(function=name.upper()[:4]),
            "SOURce:FUNCtion?": lambda: self.remembered["function"],
            "SOURce:VOLTage": self._set_level,
            "SOURce:VOLTage?": lambda: f"{self.source.level:+.6E}",
            "SOURce:VOLTage:RANGe": lambda volts: self.remembered.update(range=volts),
            "SENSe:CURRent:PROTection": lambda amps: setattr(self.source, "limit_a", float(amps)),
            "SENSe:CURRent:PROTection?": lambda: f"{self.source.limit_a:+.6E}",
            "SENSe:CURRent:PROTection:TRIPped?": lambda: str(int(self._tripped())),
            "OUTPut[:STATe]": lambda state: setattr(self.source, "on", state.upper() in ("1", "ON")),
            "OUTPut[:STATe]?": lambda: str(int(self.source.on)),
            "MEASure:VOLTage?": self._elements, "MEASure:CURRent?": self._elements, "READ?": self._elements,
        })  # fmt: skip

    def _set_level(self, volts: str) -> None:
        if abs(float(volts)) > 210 and not self.gullible:
            raise ScpiError(-222, "Parameter data out of range")
        self.source.level = max(-210.0, min(210.0, float(volts)))

    def _tripped(self) -> bool:
        volts, amps = self.source.measured()
        return self.source.on and abs(amps) >= self.source.limit_a and volts != self.source.level

    def _elements(self) -> str:
        volts, amps = self.source.measured()
        return f"{volts:+.6E},{amps:+.6E},+9.910000E+37,+1.234000E+02,+{0:d}.0"


class TspInstrument:
    """Runs the few kinds of Lua that drivers send: assignments, calls and prints.

    Args:
        identity: The answer to `*IDN?`.
        get: Returns what an expression is, as it is printed; raises `KeyError` for an unknown one.
        run: Takes the target and the value of an assignment, or a call and its arguments.
    """

    def __init__(self, identity: str, get: Callable[[str], str], run: Callable[[str, str], None]) -> None:
        self._identity, self._get, self._run = identity, get, run
        self.errors: list[str] = []

    def __call__(self, message: bytes) -> bytes | None:
        """Take a chunk, return what it prints."""
        chunk = message.decode("ascii").strip()
        if chunk == "*IDN?":
            return self._identity.encode()
        printed: list[str] = []
        while chunk:
            match = re.match(r"print\(((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*)\)\s*", chunk)
            if match:
                printed.append("\t".join(self._value(part.strip()) for part in _arguments(match[1])))
            elif match := re.match(r"([\w.]+)(?:\s*=\s*([^\s]+)|\(([^()]*)\))\s*", chunk):
                self._attempt(match[1], match[2] if match[3] is None else match[3])
            else:
                self.errors.append(f"-285\tTSP Syntax error at line 1: unexpected symbol near `{chunk[:10]}'\t20\t1")
                return None
            chunk = chunk[match.end() :]
        return "\n".join(printed).encode() if printed else None

    def _attempt(self, target: str, value: str) -> None:
        if target == "waitcomplete":
            return
        try:
            self._run(target, value)
        except (KeyError, ValueError) as error:
            self.errors.append(f"-286\tTSP Runtime error at line 1: {error}\t20\t1")

    def _value(self, expression: str) -> str:
        if expression.startswith('"'):
            return expression.strip('"')
        if expression == "errorqueue.count":
            return f"{len(self.errors):.5e}"
        if expression == "errorqueue.next()":
            return self.errors.pop(0) if self.errors else "0\tQueue Is Empty\t0\t0"
        try:
            return self._get(expression)
        except KeyError:
            return "nil"


def _arguments(text: str) -> list[str]:
    return re.findall(r'(?:[^,()"]|"[^"]*"|\([^()]*\))+', text)


def source_meter_2600(sources: dict[str, Source]) -> TspInstrument:
    """Return a 2602B whose channels are sources by the names `smua` and `smub`."""
    other: dict[str, str] = {}

    def get(expression: str) -> str:
        name, _, rest = expression.partition(".")
        source = sources[name]
        volts, amps = source.measured()
        limited = source.on and abs(amps) >= source.limit_a and volts != source.level
        values = {
            "source.levelv": source.level, "source.limiti": source.limit_a, "source.output": float(source.on),
            "source.func": 1.0, "measure.v()": volts, "measure.i()": amps,
        }  # fmt: skip
        if rest == "source.compliance":
            return str(limited).lower()
        return f"{values[rest]:.5e}" if rest in values else other[expression]

    def run(target: str, value: str) -> None:
        name, _, rest = target.partition(".")
        source = sources[name]
        if rest == "source.levelv":
            source.level = float(value)
        elif rest == "source.limiti":
            source.limit_a = float(value)
        elif rest == "source.output":
            source.on = float(value) == 1
        elif rest.startswith(("source.", "measure.")):
            other[target] = value
        else:
            raise KeyError(target)

    return TspInstrument("Keithley Instruments Inc., Model 2602B, 4012345, 3.3.5", get, run)
