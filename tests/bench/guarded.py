"""A voltage source at the end of a wire, and the programs that use it until they are killed."""

import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pnnlab.bench import Bench
from pnnlab.devices import DAC, Identity, Limits, Trigger
from pnnlab.transports import LinkOptions, open_transport

Volts = npt.NDArray[np.floating]


class Source:
    """The instrument itself: `V?`, `V=1.5`, and who it is."""

    def __init__(self) -> None:
        self.volts = 0.0

    def __call__(self, message: bytes) -> bytes | None:
        name, _, value = message.partition(b"=")
        if value:
            self.volts = float(value)
            return b"OK"
        return {b"*IDN?": b"Acme,Source,7,1.0", b"V?": b"%g" % self.volts}.get(name)


class SourceDac(DAC):
    """Its driver."""

    Options = LinkOptions
    options: LinkOptions
    n_outputs = 1
    max_update_rate_hz = 1.0
    max_samples = 0
    waveform_triggers = frozenset[Trigger]()

    def _claims(self) -> Sequence[str]:
        return (self.options.resource,)

    def _open(self) -> None:
        self._line = open_transport(self.options, who=self.name)

    def _identify(self) -> Identity:
        return Identity(*self._line.query("*IDN?").split(","))

    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"voltage": Limits(-5.0, 5.0)}

    def _close(self) -> None:
        if hasattr(self, "_line"):
            self._line.close()

    def _make_safe(self) -> None:
        self._line.query("V=0")

    @property
    def present_v(self) -> Volts:
        return np.array([float(self._line.query("V?"))])

    def _write(self, volts: Volts) -> None:
        self._line.query(f"V={volts[0]:g}")


def main(bench: str, how: str) -> None:
    """Put 3 V out; then end well, or wait to be killed."""
    with Bench.from_file(bench) as opened:
        opened.devices["source"].write(np.array([3.0]))
        if how == "fork":
            import os

            if not os.fork():
                time.sleep(2)  # a worker that outlives its parent, with all that was open
                os._exit(0)
        print("live", flush=True)
        if how == "well":
            return
        time.sleep(60)


if __name__ == "__main__":
    from tests.bench.guarded import main as run

    run(*sys.argv[1:])
