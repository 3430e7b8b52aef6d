"""A 33522B for tests, after its operating and service guide: what it is told, and what is at its terminals."""

import time

import numpy as np

from tests.drivers.scpi.model import ScpiError, ScpiModel

IDENTITY = "Agilent Technologies,33522B,MY52700123,2.09-1.19-2.00-58-00"
_EMF_V = 10.0


class Channel:
    """One output: 50 ohm behind a voltage."""

    def __init__(self) -> None:
        self.on = False
        self.load = np.inf
        self.function = "SIN"
        self.amplitude, self.offset = 0.1, 0.0  # as shown for the load that is set
        self.waves: dict[str, np.ndarray] = {}
        self.sequences: dict[str, list[tuple[str, str]]] = {}
        self.arb = "EXP_RISE"
        self.rate = 40e3
        self.trigger_source = "IMM"
        self.triggered_s: float | None = None

    @property
    def divider(self) -> float:
        """What of the open-circuit voltage the instrument believes to be at the load."""
        return 1.0 if np.isinf(self.load) else self.load / (self.load + 50)

    def open_v(self, now_s: float) -> float:
        """Return the voltage at the terminals with nothing connected."""
        if not self.on:
            return 0.0
        if self.function == "DC":
            return self.offset / self.divider
        if self.function == "ARB" and self.arb in self.sequences:
            codes = self._at(now_s)
            return (self.offset + self.amplitude / 2 * codes / 32767) / self.divider
        return (self.offset + self.amplitude / 2 * np.sin(2e3 * np.pi * now_s)) / self.divider

    def _at(self, now_s: float) -> float:
        (_, first), (_, once), (_, last) = [(kind, name) for name, kind in self.sequences[self.arb]]
        if self.triggered_s is None:
            return float(self.waves[first][0])
        k = int((now_s - self.triggered_s) * self.rate)
        wave = self.waves[once]
        return float(wave[k] if k < len(wave) else self.waves[last][-1])


class GeneratorModel(ScpiModel):
    """The instrument behind its socket.

    Attributes:
        channels: Its outputs, the first one first.
        gullible: Whether it takes values that it cannot do without a word.
    """

    def __init__(self, load: float = np.inf) -> None:
        self.channels = [Channel(), Channel()]
        for channel in self.channels:
            channel.load = load
        self.swapped = False
        self.now_s = time.monotonic
        super().__init__(
            IDENTITY,
            {
                "OUTPut#[:STATe]": self._set_on,
                "OUTPut#[:STATe]?": lambda c: str(int(self._ch(c).on)),
                "OUTPut#:LOAD": self._set_load,
                "OUTPut#:LOAD?": lambda c: f"{min(self._ch(c).load, 9.9e37):+.12E}",
                "SOURce#:FUNCtion": self._set_function,
                "SOURce#:FUNCtion?": lambda c: self._ch(c).function,
                "SOURce#:VOLTage": lambda c, v: self._levels(c, float(v), self._ch(c).offset),
                "SOURce#:VOLTage?": lambda c: f"{self._ch(c).amplitude:+.12E}",
                "SOURce#:VOLTage:OFFSet": lambda c, v: self._levels(c, self._ch(c).amplitude, float(v)),
                "SOURce#:VOLTage:OFFSet?": lambda c: f"{self._ch(c).offset:+.12E}",
                "SOURce#:FUNCtion:ARBitrary": self._select,
                "SOURce#:FUNCtion:ARBitrary:SRATe": self._set_rate,
                "SOURce#:FUNCtion:ARBitrary:SRATe?": lambda c, which="": (
                    "+6.250000000000E+07" if which.upper() == "MAX" else f"{self._ch(c).rate:+.12E}"
                ),
                "SOURce#:FUNCtion:ARBitrary:FILTer": lambda c, kind: None,
                "SOURce#:DATA:VOLatile:CLEar": self._clear,
                "SOURce#:DATA:ARBitrary:DAC": self._load,
                "SOURce#:DATA:SEQuence": self._load_sequence,
                "FORMat:BORDer": lambda order: setattr(self, "swapped", order.upper().startswith("SWAP")),
                "TRIGger#:SOURce": lambda c, source: setattr(self._ch(c), "trigger_source", source.upper()),
                "*TRG": self._trigger,
            },
        )

    def _ch(self, number: int) -> Channel:
        if not 1 <= number <= len(self.channels):
            raise ScpiError(-114, "Header suffix out of range")
        return self.channels[number - 1]

    def _set_on(self, number: int, state: str) -> None:
        self._ch(number).on = state.upper() in ("ON", "1")

    def _set_load(self, number: int, ohm: str) -> None:
        channel, before = self._ch(number), self._ch(number).divider
        channel.load = np.inf if ohm.upper().startswith("INF") else float(ohm)
        # what is put out stays as it is, what is shown of it changes
        channel.amplitude *= channel.divider / before
        channel.offset *= channel.divider / before

    def _set_function(self, number: int, name: str) -> None:
        channel = self._ch(number)
        channel.function, channel.triggered_s = name.upper(), None

    def _levels(self, number: int, amplitude: float, offset: float) -> None:
        channel = self._ch(number)
        peak = _EMF_V * channel.divider
        swing = 0.0 if channel.function == "DC" else amplitude / 2
        clipped = float(np.clip(offset, -(peak - swing), peak - swing))
        digits = max(1e-4, 10.0 ** (np.floor(np.log10(max(abs(clipped), 1e-9))) - 3))
        channel.amplitude, channel.offset = min(amplitude, 2 * peak), round(round(clipped / digits) * digits, 9)
        if abs(clipped - offset) > 1e-9 and not self.gullible:
            raise ScpiError(-222, "Data out of range; value clipped to limit")

    def _set_rate(self, number: int, rate: str) -> None:
        if not 1e-6 <= float(rate) <= 62.5e6:
            raise ScpiError(-222, "Data out of range; value clipped to limit")
        self._ch(number).rate = float(rate)

    def _select(self, number: int, name: str) -> None:
        channel = self._ch(number)
        if name not in channel.waves and name not in channel.sequences:
            raise ScpiError(781, "Not enough memory; arb does not exist")
        channel.arb, channel.triggered_s = name, None

    def _clear(self, number: int) -> None:
        channel = self._ch(number)
        if channel.on and channel.function == "ARB":
            raise ScpiError(-221, "Settings conflict; the waveform that is played was cleared")
        channel.waves, channel.sequences, channel.arb = {}, {}, "EXP_RISE"

    def _load(self, number: int, name: str, data: bytes) -> None:
        channel = self._ch(number)
        if name in channel.waves:
            raise ScpiError(786, "Specified arb waveform already exists")
        codes = np.frombuffer(data, "<i2" if self.swapped else ">i2")
        if not 8 <= len(codes) <= 1_000_000 or np.abs(codes.astype(int)).max() > 32767:
            raise ScpiError(-222, "Data out of range; arb")
        channel.waves[name] = codes

    def _load_sequence(self, number: int, data: bytes) -> None:
        channel = self._ch(number)
        name, *fields = [field.strip('"') for field in data.decode("ascii").split(",")]
        steps = [tuple(fields[k : k + 5]) for k in range(0, len(fields), 5)]
        for wave, repeats, control, marker, point in steps:
            n = len(channel.waves[wave])
            kinds = {"once", "onceWaitTrig", "repeat", "repeatInf", "repeatTilTrig"}
            markers = {"maintain", "lowAtStart", "highAtStart", "highAtStartGoLow"}
            if not repeats.isdigit() or control not in kinds or marker not in markers or not 4 <= int(point) <= n - 4:
                raise ScpiError(-224, "Illegal parameter value; sequence")
        if [control for _, _, control, _, _ in steps] != ["repeatTilTrig", "once", "repeatInf"]:
            raise ScpiError(-224, "Illegal parameter value; this model plays one kind of sequence only")
        channel.sequences[name] = [(wave, control) for wave, _, control, _, _ in steps]

    def _trigger(self) -> None:
        for channel in self.channels:
            if channel.trigger_source == "BUS" and channel.function == "ARB" and channel.triggered_s is None:
                channel.triggered_s = self.now_s()

    def terminals_v(self) -> np.ndarray:
        """Return the voltages at open terminals now."""
        now_s = self.now_s()
        return np.array([channel.open_v(now_s) for channel in self.channels])
