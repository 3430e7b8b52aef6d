"""What a bench file says of a board with Firmata firmware."""

from pydantic import Field, field_validator

from pnnlab.quantities import Seconds, Volts
from pnnlab.transports import LinkOptions

__all__ = ["FirmataOptions"]


class FirmataOptions(LinkOptions):
    """The options of the driver `firmata-board`, beside those of its port.

    Attributes:
        outputs: Pins with pulse-width modulation, in the order of the DAC's channels.
        inputs: Analog channels (0 for A0), in the order of the ADC's.
        counts_up: Those of the outputs that are driven by timer 0, which only counts up: 5 and 6 on an Uno or Nano, 4
            and 13 on a Mega, 3 and 11 on a Leonardo.
        supply_v: Voltage of a pin that is high.
        reference_v: Voltage that an analog pin reads as the highest code; that of the supply if left out.
        safe_v: Voltage of all outputs in the safe state.
        settle_s: How long the filters take that make voltages of pulses.
        sweep_s: Shortest time from one sweep over the inputs to the next that the firmware keeps: 10 ms up to version
            2.4 of StandardFirmata, which says nothing where it is asked for less.
        stale_sweeps: Sweeps over the inputs that are thrown away after each trigger.
        verify: Whether every code that is written is asked for again.
        reset_on_open: Whether opening the port starts the board anew, as the line DTR does on most.
        boot_s: How long it may take then until it says who it is.
    """

    baud_rate: int = Field(default=57600, gt=0)
    outputs: tuple[int, ...] = Field(default=(3, 5, 6, 9, 10, 11), min_length=1)
    inputs: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4, 5), min_length=1)
    counts_up: tuple[int, ...] = (5, 6)
    supply_v: Volts = Field(default=5.0, gt=0)
    reference_v: Volts | None = Field(default=None, gt=0)
    safe_v: Volts = 0.0
    settle_s: Seconds = Field(default=0.0, ge=0)
    sweep_s: Seconds = Field(default=10e-3, ge=1e-3, lt=16.0)
    stale_sweeps: int = Field(default=1, ge=0)
    verify: bool = True
    reset_on_open: bool = True
    boot_s: Seconds = Field(default=4.0, gt=0)

    @field_validator("outputs", "inputs")
    @classmethod
    def _check_once(cls, pins: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(pins)) != len(pins) or min(pins) < 0:
            raise ValueError(f"{pins} are not different pins; write each one once")
        return pins
