"""A Red Pitaya for tests, after the sources of its SCPI server: outputs, wires to the inputs, triggers, buffers."""

import time

import numpy as np

from pnnlab.transports import block
from tests.drivers.scpi.model import ScpiError, ScpiModel

CLOCK_HZ = 125e6
BUFFER = 16384


class Output:
    """One fast output; live at boot."""

    def __init__(self) -> None:
        self.on = True
        self.function, self.amplitude, self.offset = "SINE", 0.9, 0.0
        self.mode, self.before, self.last = "CONTINUOUS", 0.0, 0.0
        self.buffer = np.zeros(BUFFER)
        self.n, self.frequency = BUFFER, 1000.0
        self.triggered_s: float | None = None

    def at(self, now_s: np.ndarray) -> np.ndarray:
        """Return volts at times."""
        if not self.on:
            return np.zeros_like(now_s)
        if self.function == "DC":
            return np.full_like(now_s, self.amplitude + self.offset)
        if self.function == "SINE":
            return self.offset + self.amplitude * np.sin(2 * np.pi * self.frequency * now_s)
        if self.triggered_s is None:
            return np.full_like(now_s, self.before)
        step = round(65536 * self.frequency * self.n / CLOCK_HZ)
        k = np.floor((now_s - self.triggered_s) * CLOCK_HZ * step / 65536 + 1e-6).astype(int)
        played = np.clip(self.offset + self.amplitude * self.buffer[np.clip(k, 0, self.n - 1)], -1, 1)
        return np.where(k < 0, self.before, np.where(k < self.n, played, self.last))


class BoardModel(ScpiModel):
    """The board behind its server; each output is wired to the input of its number."""

    def __init__(self) -> None:
        self.outputs = [Output(), Output()]
        self.now_s = time.monotonic
        self.decimation, self.delay, self.source = 1, 0, "DISABLED"
        self.started = False
        self.trigger_s: float | None = None
        self.pointer = 5000
        number = "{:.9g}".format
        super().__init__("REDPITAYA,INSTR2024,0,01-02", {
            "OUTPUT#:STATE": lambda c, on: setattr(self._out(c), "on", on.upper() in ("ON", "1")),
            "OUTPUT#:STATE?": lambda c: "ON" if self._out(c).on else "OFF",
            "SOUR#:FUNC": lambda c, name: setattr(self._out(c), "function", name.upper()),
            "SOUR#:FUNC?": lambda c: self._out(c).function,
            "SOUR#:VOLT": lambda c, v: self._levels(c, float(v), self._out(c).offset),
            "SOUR#:VOLT?": lambda c: number(self._out(c).amplitude),
            "SOUR#:VOLT:OFFS": lambda c, v: self._levels(c, self._out(c).amplitude, float(v)),
            "SOUR#:VOLT:OFFS?": lambda c: number(self._out(c).offset),
            "SOUR#:BURS:STAT": lambda c, mode: setattr(self._out(c), "mode", mode.upper()),
            "SOUR#:BURS:STAT?": lambda c: self._out(c).mode,
            "SOUR#:BURS:NCYC": lambda c, n: None, "SOUR#:BURS:NOR": lambda c, n: None,
            "SOUR#:BURS:LASTValue": lambda c, v: setattr(self._out(c), "last", float(v)),
            "SOUR#:BURS:LASTValue?": lambda c: number(self._out(c).last),
            "SOUR#:INITValue": lambda c, v: setattr(self._out(c), "before", float(v)),
            "SOUR#:FREQ:FIX": lambda c, hz: setattr(self._out(c), "frequency", float(hz)),
            "SOUR#:TRAC:DATA:DATA": self._load, "SOUR#:TRig:SOUR": lambda c, source: self._reset(c),
            "SOUR:TRig:INT": self._play,
            "ACQ:RST": self._reset_acquisition, "ACQ:START": self._start,
            "ACQ:STOP": lambda: setattr(self, "started", False),
            "ACQ:DATA:FORMAT": lambda kind: None, "ACQ:DATA:UNITS": lambda kind: None, "ACQ:AVG": lambda on: None,
            "ACQ:SOUR#:GAIN": lambda c, gain: None,
            "ACQ:DEC:Factor": self._set_decimation,
            "ACQ:TRig:DLY": lambda n: setattr(self, "delay", int(n)), "ACQ:TRig": self._set_source,
            "ACQ:TRig:STAT?": lambda: "TD" if self.trigger_s is not None else "WAIT",
            "ACQ:TRig:FILL?": lambda: str(int(self._filled())),
            "ACQ:TPOS?": lambda: str(self.pointer), "ACQ:SOUR#:DATA:STArt:N?": self._data,
        })  # fmt: skip

    def _out(self, number: int) -> Output:
        if not 1 <= number <= 2:
            raise ScpiError(-114, "Header suffix out of range")
        return self.outputs[number - 1]

    def _levels(self, number: int, amplitude: float, offset: float) -> None:
        out = self._out(number)
        if abs(amplitude) + abs(offset) > 1 + 1e-5:
            if not self.gullible:
                raise ScpiError(1, "Value out of range")
            offset = float(np.clip(offset, -1, 1))
        out.amplitude, out.offset = amplitude, round(offset * 8192) / 8192

    def _load(self, number: int, *samples: str) -> None:
        values = np.array(samples, float)
        if len(values) > BUFFER:
            raise ScpiError(1, "Buffer too long")
        out = self._out(number)
        # what older versions do with values that are too large, without a word
        out.buffer[: len(values)], out.n = np.clip(values, -1, 1), len(values)

    def _reset(self, number: int) -> None:
        self._out(number).triggered_s = None

    def _play(self) -> None:
        for out in self.outputs:
            out.triggered_s = self.now_s()
        if self.started and self.source == "AWG_PE" and self.trigger_s is None:
            self.trigger_s = self.now_s()

    def _reset_acquisition(self) -> None:
        self.started, self.trigger_s, self.decimation, self.delay = False, None, 1, 0

    def _start(self) -> None:
        self.started, self.trigger_s, self.source = True, None, "DISABLED"

    def _set_decimation(self, factor: str) -> None:
        if int(factor) not in (1, 2, 4, 8) and not 16 <= int(factor) <= 65536:
            raise ScpiError(1, "Decimation")
        self.decimation = int(factor)

    def _set_source(self, source: str) -> None:
        self.source = source.upper()
        self.pointer = (self.pointer + 7777) % BUFFER
        if self.source == "NOW":
            self.trigger_s = self.now_s()

    def pulse(self) -> None:
        """Make an edge at the pin for external triggers."""
        if self.started and self.source == "EXT_PE" and self.trigger_s is None:
            self.trigger_s = self.now_s()

    def _filled(self) -> bool:
        after_s = (self.delay + BUFFER // 2) * self.decimation / CLOCK_HZ
        return self.trigger_s is not None and self.now_s() >= self.trigger_s + after_s - 1e-12

    def _data(self, number: int, begin: str, n: str) -> bytes:
        assert self.trigger_s is not None and int(begin) == self.pointer
        if int(n) > self.delay + BUFFER // 2:
            raise ScpiError(1, "what is asked for was not recorded after the trigger")
        times_s = self.trigger_s + np.arange(int(n)) * self.decimation / CLOCK_HZ
        return block(self.outputs[number - 1].at(times_s).astype(">f4").tobytes())

    def terminals_v(self) -> np.ndarray:
        """Return the voltages at the outputs now."""
        return np.array([out.at(np.array([self.now_s()]))[0] for out in self.outputs])
