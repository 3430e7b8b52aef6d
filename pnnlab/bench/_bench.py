"""All devices of one bench file, opened together, closed together."""

import atexit
import logging
import os
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pnnlab.bench._config import ClockKind
from pnnlab.bench._contents import Contents
from pnnlab.bench._file import BenchFile
from pnnlab.bench._guard import Guard
from pnnlab.bench._names import NamedMapping
from pnnlab.bench._signals import ExitSignals
from pnnlab.devices import Clock, Device, Plant, RealClock, SimulatedClock, State
from pnnlab.errors import BenchError, RunError, StateError
from pnnlab.records import CalibrationStore
from pnnlab.systems import System, Trace

__all__ = ["Bench"]

_LOG = logging.getLogger(__name__)
_PATIENCE_S: Final = 10.0
"""How long closing waits for a batch that is being measured."""


class Bench:
    """The devices, plants and systems of a bench file.

    A context manager: `with Bench.from_file("instruments.yaml") as bench: ...`. Opened without `with`, it is closed
    when the interpreter ends. Whichever way it ends (return, exception, Ctrl-C, SIGTERM), first all outputs are made
    safe, then all devices are closed, and no device that fails keeps the others from it. If it is killed, a guard
    process makes those outputs safe that would hold their value.

    Mutable: `open` and `close` change what the bench holds, `restore` its plants and clock.

    Args:
        file: What the bench consists of.
        clock: The bench's time; `None` takes the clock that the file asks for.
        store: Calibration records; `None` takes those of the folder that the file names.

    Attributes:
        trace: What the systems do when, once it is switched on.
    """

    def __init__(self, file: BenchFile, *, clock: Clock | None = None, store: CalibrationStore | None = None) -> None:
        self.file = file
        self.trace = Trace()
        self.store = CalibrationStore(file.calibrations) if store is None else store
        simulated = file.config.clock is ClockKind.SIMULATED
        self.clock: Clock = clock or (SimulatedClock() if simulated else RealClock())
        self._contents = self._new_contents()
        self._is_open = False
        self._interrupted = False
        self._process = 0
        self._signals = ExitSignals(self._make_safe_now)
        self._guard = Guard()

    @classmethod
    def from_file(cls, path: str | Path, *, clock: Clock | None = None, store: CalibrationStore | None = None) -> Self:
        """Read and validate a bench file; no device is touched before `open`.

        Args:
            path: The bench file.
            clock: The bench's time; `None` takes the clock that the file asks for.
            store: Calibration records; `None` takes those of the folder that the file names.

        Raises:
            BenchFileError: Everything that is wrong with the file.
        """
        return cls(BenchFile.load(path), clock=clock, store=store)

    def __repr__(self) -> str:
        state = "open" if self._is_open else "closed"
        return f"<Bench {self.name!r}, {state}: {', '.join(self.file.config.devices)}>"

    @property
    def name(self) -> str:
        """Return the bench's name."""
        return self.file.config.name

    @property
    def is_open(self) -> bool:
        """Return whether the devices are open."""
        return self._is_open

    @property
    def plants(self) -> NamedMapping[Plant]:
        """Return the simulated physics by name; empty on a real bench."""
        return NamedMapping("plant", self._contents.plants, empty=self._hint())

    @property
    def devices(self) -> NamedMapping[Device]:
        """Return the devices by name, in the order in which they were opened."""
        return NamedMapping("device", self._contents.devices, empty=self._hint())

    @property
    def systems(self) -> NamedMapping[System]:
        """Return the systems by name."""
        return NamedMapping("system", self._contents.systems, empty=self._hint())

    # Life

    def open(self) -> Self:
        """Open every device in the order of the file, then wire the systems; nothing is written to an output.

        Raises:
            BenchError: Devices failed; all were tried, every failure is told, and all are closed again.
            StateError: The bench is open.
        """
        if self._is_open:
            raise StateError(f"bench {self.name!r} is open already; close it first")
        self._contents = self._new_contents()
        self._is_open, self._interrupted, self._process = True, False, os.getpid()
        atexit.register(self.close)
        self._signals.install()
        try:
            if failures := self._contents.open():
                raise BenchError("opened", failures)
            self._guard.start(self.file.config.devices.values())
        except BaseException as error:
            self._close_after(error)
            raise
        _LOG.info("bench %s: opened %s", self.name, ", ".join(self._contents.devices))
        return self

    def close(self) -> None:
        """Make all outputs safe, then close all devices, the last one opened first; may be called twice.

        Raises:
            BenchError: Devices failed while they were made safe or closed; the others are closed nevertheless.
        """
        if not self._is_open or os.getpid() != self._process:
            return  # a forked child inherits the open bench, but not the right to speak to the instruments
        failures: dict[str, BaseException] = {}
        for thread in self._contents.threads:
            thread.drop(StateError(f"bench {self.name!r} was closed before these shots were measured"))
        try:
            if self._interrupted:
                # a signal's answer may have cut into a half-sent command: say it again
                self._contents.each(lambda device: device.resume() if device.state is State.SAFE else None, failures)
            # every output first: closing one device may take long
            self._contents.each(Device.make_safe, failures)
            # a batch that is being measured ends with its next call to a device, which is refused from now on
            for thread in self._contents.threads:
                if not thread.join(_PATIENCE_S):
                    _LOG.warning("bench %s: the %s are busy for more than %g s", self.name, thread.name, _PATIENCE_S)
            self._contents.each(Device.close, failures)
        finally:
            # Ctrl-C between two devices leaves some open: then a second close, at the latest at exit, goes on
            self._is_open = any(device.state is not State.CLOSED for device in self._contents.devices.values())
            if not self._is_open:
                self._guard.dismiss()
                self._signals.restore()
                atexit.unregister(self.close)
        for error in failures.values():
            if not isinstance(error, Exception):
                raise error  # Ctrl-C or a signal that came while closing
        if failures:
            raise BenchError(
                "closed", {name: error for name, error in failures.items() if isinstance(error, Exception)}
            )
        _LOG.info("bench %s: closed", self.name)

    def __enter__(self) -> Self:
        return self if self._is_open else self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._close_after(error)

    # What it is set to

    def settings(self) -> dict[str, dict[str, object]]:
        """Return each device's identity and a snapshot of its settings, JSON-able, SI units."""
        self._require_open()
        return {
            name: {"identity": asdict(device.identity), "settings": device.settings()}
            for name, device in self._contents.devices.items()
        }

    def state(self) -> dict[str, object]:
        """Return what later readings of a simulated bench depend on: plants, clock, and what systems know of devices.

        A real bench has no plants, and what its devices hold after a pause is nobody's knowledge.
        """
        self._require_open()
        state: dict[str, object] = {
            "plants": {name: plant.state() for name, plant in self._contents.plants.items()},
            "systems": {name: system.state() for name, system in self._simulated()},
        }
        if isinstance(self.clock, SimulatedClock):
            state["clock_s"] = self.clock.now_s()
        return state

    def restore(self, state: dict[str, object]) -> None:
        """Go back to what `state` returned, on a freshly opened bench of the same file.

        Raises:
            RunError: The state is of another bench, or lies before the present time; nothing was restored.
        """
        self._require_open()
        plants = state.get("plants")
        if not isinstance(plants, dict) or set(plants) != set(self._contents.plants):
            saved = ", ".join(sorted(plants)) if isinstance(plants, dict) and plants else "none"
            raise RunError(
                f"bench {self.name!r}: the saved state has the plants {saved}, the bench has "
                f"{', '.join(sorted(self._contents.plants)) or 'none'}; resume with the bench file of the run"
            )
        time_s, now_s = state.get("clock_s"), self.clock.now_s()
        if isinstance(self.clock, SimulatedClock) and not (isinstance(time_s, int | float) and time_s >= now_s):
            raise RunError(
                f"bench {self.name!r}: the saved state is of {time_s} s, the bench's clock shows {now_s:g} s and "
                "does not run backwards; restore right after opening a new bench"
            )
        for name, plant in self._contents.plants.items():
            plant.restore(plants[name])
        systems = state.get("systems")
        for name, system in self._simulated():
            system.restore(systems[name] if isinstance(systems, dict) and name in systems else {})
        if isinstance(self.clock, SimulatedClock) and isinstance(time_s, int | float):
            self.clock.sleep_until(float(time_s))

    # Closing

    def _make_safe_now(self) -> None:
        """Make all outputs safe in the middle of whatever runs; failures are logged, and told when closing."""
        self._interrupted = True
        failures: dict[str, BaseException] = {}
        self._contents.each(Device.make_safe, failures)
        for name, error in failures.items():
            _LOG.error("%s: could not be made safe: %s", name, error)

    def _close_after(self, error: BaseException) -> None:
        """Close without hiding the error that is on its way."""
        try:
            self.close()
        except BenchError as closing:
            _LOG.error("bench %s: %s", self.name, closing)
            error.add_note(str(closing))

    def _simulated(self) -> list[tuple[str, System]]:
        return [(name, system) for name, system in self._contents.systems.items() if system.is_simulated]

    def _new_contents(self) -> Contents:
        return Contents(self.file.config, self.clock, self.trace, self.store)

    def _hint(self) -> str:
        return "" if self._is_open else f"open the bench {self.name!r} first"

    def _require_open(self) -> None:
        if not self._is_open:
            raise StateError(f"bench {self.name!r} is closed; open it first")
