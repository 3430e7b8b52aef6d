"""What makes a waveform of a 33500-class generator: segments in its volatile memory, and their order."""

from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.transports import Scpi

__all__ = ["FULL_SCALE", "SHORTEST", "load_waveform"]

FULL_SCALE: Final = 32767
"""Code of plus half the amplitude; minus that is the lowest (33500 Series guide, `DATA:ARBitrary:DAC`)."""
SHORTEST: Final = 8
"""Samples that a segment has at least."""

_IDLE: Final = "PNN_IDLE"
_WAVE: Final = "PNN_WAVE"
_LAST: Final = "PNN_LAST"
_SEQUENCE: Final = "PNN_SEQ"


def load_waveform(scpi: Scpi, channel: int, codes: npt.NDArray[np.int16], *, idle: int) -> str:
    """Load a waveform that waits for a trigger, plays once and holds its last sample; return its name.

    The channel must not play anything of its volatile memory, which is cleared: a segment that is there already cannot
    be loaded again.

    Args:
        scpi: The generator.
        channel: The channel, from 1.
        codes: The waveform, shape `(n_samples,)`.
        idle: The code that is put out until the trigger comes.
    """
    source = f"SOUR{channel}:"
    scpi.command(f"{source}DATA:VOL:CLE", "FORM:BORD SWAP")
    held = np.full(SHORTEST, codes[-1], np.int16)
    wave = np.concatenate([codes, held[: max(0, SHORTEST - len(codes))]])
    for name, samples in ((_IDLE, np.full(SHORTEST, idle, np.int16)), (_WAVE, wave), (_LAST, held)):
        scpi.command_block(f"{source}DATA:ARB:DAC {name},", samples.astype("<i2").tobytes())
    # name, then for each segment: name, repeats, what it waits for, what the marker does and at which sample
    steps = [
        f'"{_SEQUENCE}"', f'"{_IDLE}",0,repeatTilTrig,maintain,4', f'"{_WAVE}",0,once,highAtStart,4',
        f'"{_LAST}",0,repeatInf,maintain,4',
    ]  # fmt: skip
    scpi.command_block(f"{source}DATA:SEQ ", ",".join(steps).encode("ascii"))
    return _SEQUENCE
