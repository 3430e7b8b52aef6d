"""A source-measure unit: puts a voltage on, measures the current, and stops where the current would be too high."""

from abc import ABC, abstractmethod

from pnnlab.devices import Clock, Identity
from pnnlab.errors import AcquisitionError, DeviceError
from pnnlab.transports import Scpi, Transport, Tsp, Wait, parse_number

__all__ = ["ScpiSmu", "Smu", "TspSmu"]


class Smu(ABC):
    """One channel that sources voltage and measures current.

    Args:
        transport: The conversation.
        clock: The bench's time, for pulses that the host has to time.
        step_v: Finest step of the source that is kept, in V; a level that comes back further off is a fault.
    """

    def __init__(self, transport: Transport, clock: Clock, step_v: float) -> None:
        self._who, self._clock, self._step_v = transport.who, clock, step_v

    def put(self, volts: float) -> None:
        """Set the source's level, and ask what it is.

        Raises:
            DeviceError: It is another one.
        """
        found = self._put(volts)
        if abs(found - volts) > 0.6 * self._step_v + 1e-6 * abs(volts):
            raise DeviceError(
                f"{self._who}: the source was set to {volts:g} V and says that it is at {found:g} V; look at its range "
                "and its limits, and at who else uses it"
            )

    @abstractmethod
    def identity(self) -> Identity:
        """Return who the instrument is."""

    @abstractmethod
    def prepare(self, *, largest_v: float, compliance_a: float, power_line_cycles: float) -> None:
        """Make it a source of 0 V with a current limit, its output off."""

    @abstractmethod
    def on(self) -> None:
        """Connect the source."""

    @abstractmethod
    def off(self) -> None:
        """Set 0 V and disconnect the source."""

    @abstractmethod
    def measure_a(self) -> float:
        """Return the current in A.

        Raises:
            AcquisitionError: The current limit was reached, so that the voltage was not what was asked for.
        """

    @abstractmethod
    def pulse(self, volts: float, seconds: float, compliance_a: float) -> None:
        """Put a voltage on for a time, then 0 V again, with a current limit of its own."""

    @abstractmethod
    def _put(self, volts: float) -> float:
        """Set the level; return what the instrument says that it is."""

    def _limited(self, volts: str) -> AcquisitionError:
        return AcquisitionError(
            f"{self._who}: the current limit was reached at {volts} V, so the current says nothing of the cell; look "
            "for a short, or raise `compliance`"
        )


class TspSmu(Smu):
    """A channel of a Keithley Series 2600, or of another one with `smua` functions.

    Pulses are timed by the instrument.

    Args:
        transport: See `Smu`.
        clock: See `Smu`.
        step_v: See `Smu`.
        channel: `smua` or `smub`.
    """

    def __init__(self, transport: Transport, clock: Clock, step_v: float, channel: str = "smua") -> None:
        super().__init__(transport, clock, step_v)
        self._tsp, self._smu = Tsp(transport), channel

    def identity(self) -> Identity:
        """See `Smu.identity`."""
        return self._tsp.identity()

    def prepare(self, *, largest_v: float, compliance_a: float, power_line_cycles: float) -> None:
        """See `Smu.prepare`."""
        smu, self._compliance_a = self._smu, compliance_a
        self._tsp.complete(
            f"{smu}.source.output={smu}.OUTPUT_OFF", f"{smu}.source.func={smu}.OUTPUT_DCVOLTS",
            f"{smu}.source.rangev={largest_v:.6g}", f"{smu}.source.levelv=0", f"{smu}.source.limiti={compliance_a:.6g}",
            f"{smu}.measure.autorangei={smu}.AUTORANGE_ON", f"{smu}.measure.nplc={power_line_cycles:.6g}",
        )  # fmt: skip

    def on(self) -> None:
        """See `Smu.on`."""
        self._tsp.complete(f"{self._smu}.source.output={self._smu}.OUTPUT_ON")

    def off(self) -> None:
        """See `Smu.off`."""
        smu = self._smu
        self._tsp.complete(f"{smu}.source.levelv=0", f"{smu}.source.output={smu}.OUTPUT_OFF")

    def measure_a(self) -> float:
        """See `Smu.measure_a`."""
        smu = self._smu
        current, limited, level = self._tsp.query(
            f"{smu}.measure.i()", f"{smu}.source.compliance", f"{smu}.source.levelv", wait=Wait.OPERATION
        ).split("\t")
        if limited.strip() != "false":
            raise self._limited(level)
        return parse_number(current, who=self._who, asked="measure.i()")

    def pulse(self, volts: float, seconds: float, compliance_a: float) -> None:
        """See `Smu.pulse`."""
        smu = self._smu
        self._tsp.complete(
            f"{smu}.source.limiti={compliance_a:.6g}", f"{smu}.source.levelv={volts:.6g}", f"delay({seconds:.6g})",
            f"{smu}.source.levelv=0", f"{smu}.source.limiti={self._compliance_a:.6g}",
        )  # fmt: skip

    def _put(self, volts: float) -> float:
        with self._tsp.transport.held():
            self._tsp.command(f"{self._smu}.source.levelv={volts:.7g}")
            return self._tsp.number(f"{self._smu}.source.levelv")


class ScpiSmu(Smu):
    """A Keithley 2400, or another one with its SCPI commands.

    Pulses are timed by the host: they last a few milliseconds longer than asked for.
    """

    def __init__(self, transport: Transport, clock: Clock, step_v: float) -> None:
        super().__init__(transport, clock, step_v)
        self._scpi = Scpi(transport)

    def identity(self) -> Identity:
        """See `Smu.identity`."""
        return self._scpi.identity()

    def prepare(self, *, largest_v: float, compliance_a: float, power_line_cycles: float) -> None:
        """See `Smu.prepare`."""
        self._compliance_a = compliance_a
        self._scpi.command(
            "OUTP OFF", "SOUR:FUNC VOLT", "SOUR:VOLT:MODE FIX", f"SOUR:VOLT:RANG {largest_v:.6g}", "SOUR:VOLT 0",
            "SENS:FUNC 'CURR'", f"SENS:CURR:PROT {compliance_a:.6g}", f"SENS:CURR:NPLC {power_line_cycles:.6g}",
            "FORM:ELEM CURR",
        )  # fmt: skip

    def on(self) -> None:
        """See `Smu.on`."""
        self._scpi.complete("OUTP ON")

    def off(self) -> None:
        """See `Smu.off`."""
        self._scpi.complete("SOUR:VOLT 0", "OUTP OFF")

    def measure_a(self) -> float:
        """See `Smu.measure_a`."""
        current, tripped = self._scpi.queries("READ?", "SENS:CURR:PROT:TRIP?", wait=Wait.OPERATION)
        if parse_number(tripped, who=self._who, asked="TRIP?"):
            raise self._limited(self._scpi.query("SOUR:VOLT?"))
        return parse_number(current, who=self._who, asked="READ?")

    def pulse(self, volts: float, seconds: float, compliance_a: float) -> None:
        """See `Smu.pulse`."""
        self._scpi.command(f"SENS:CURR:PROT {compliance_a:.6g}", f"SOUR:VOLT {volts:.6g}")
        self._clock.sleep_until(self._clock.now_s() + seconds)
        self._scpi.command("SOUR:VOLT 0", f"SENS:CURR:PROT {self._compliance_a:.6g}")

    def _put(self, volts: float) -> float:
        (level,) = self._scpi.run([f"SOUR:VOLT {volts:.7g}"], "SOUR:VOLT?")
        return parse_number(level, who=self._who, asked="SOUR:VOLT?")
