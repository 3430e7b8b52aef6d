"""What an open bench holds: plants, devices, systems."""

from collections.abc import Callable

from pnnlab.bench._config import BenchConfig
from pnnlab.devices import Clock, Device, Plant, SimulatedClock
from pnnlab.records import CalibrationStore
from pnnlab.systems import DeviceThread, Facilities, System, Trace

__all__ = ["Contents"]


class Contents:
    """The plants, devices and systems of a bench, in the order of its file.

    Mutable: `open` fills it.

    Args:
        config: What the bench consists of.
        clock: The time that all of it shares.
        trace: What the systems do when.
        store: Calibration records.
    """

    def __init__(self, config: BenchConfig, clock: Clock, trace: Trace, store: CalibrationStore | None) -> None:
        self._config = config
        self._clock, self._trace, self._store = clock, trace, store
        self._thread_of = _threads(config, joined=isinstance(clock, SimulatedClock))
        self.plants: dict[str, Plant] = {}
        self.devices: dict[str, Device] = {}
        self.systems: dict[str, System] = {}

    def open(self) -> dict[str, Exception]:
        """Build plants, open all devices in the order of the file, wire systems; return what failed, by name."""
        failures: dict[str, Exception] = {}

        def attempt(build: Callable[[str], None], name: str) -> None:
            try:
                build(name)
            except Exception as error:  # drivers, plants and their libraries raise anything; all of it is told
                failures[name] = error

        for name in self._config.plants:
            attempt(self._build_plant, name)
        for name, device in self._config.devices.items():
            if device.plant not in failures:
                attempt(self._open_device, name)
        for name in () if failures else self._config.systems:
            attempt(self._wire, name)
        return failures

    def each(self, action: Callable[[Device], object], failures: dict[str, BaseException]) -> None:
        """Do something with every device, the last one opened first; keep each device's first failure.

        Ctrl-C and the like take the place of a failure: they must not get lost.

        Args:
            action: What to do.
            failures: Grows by what devices raise, Ctrl-C included.
        """
        for name, device in reversed(list(self.devices.items())):
            try:
                action(device)
            except BaseException as error:  # Ctrl-C must not keep the other outputs live: it is raised in the end
                if name not in failures or not isinstance(error, Exception):
                    failures[name] = error

    @property
    def threads(self) -> list[DeviceThread]:
        """Return the threads that own devices, each once."""
        return list({id(thread): thread for thread in self._thread_of.values()}.values())

    def _build_plant(self, name: str) -> None:
        config = self._config.plants[name]
        self.plants[name] = config.cls(name, config.options, clock=self._clock, seed=config.seed)

    def _open_device(self, name: str) -> None:
        config = self._config.devices[name]
        plant = None if config.plant is None else self.plants[config.plant]
        device = config.cls(
            name, config.options, clock=self._clock, limits=config.limits, expected=config.identity, plant=plant
        )
        # known before it is opened: whatever interrupts from here on, it is closed
        self.devices[name] = device
        device.open()

    def _wire(self, name: str) -> None:
        entry = self._config.systems[name]
        devices = {field: self.devices[device] for field, device in entry.devices.items()}
        facilities = Facilities(self._clock, self._thread_of[name], self._trace, self._store)
        self.systems[name] = entry.cls(name, entry.config, devices, facilities)


def _threads(config: BenchConfig, *, joined: bool) -> dict[str, DeviceThread]:
    """Return the thread of each system: systems that share a device, or a device of a third one, share it.

    Args:
        config: The bench.
        joined: All systems share one: a simulated clock is moved by one thread only, or results would depend on luck.
    """
    threads: dict[str, DeviceThread] = {}
    owner: dict[str, DeviceThread] = {}
    for name, entry in config.systems.items():
        wired = set(entry.devices.values())
        met = list({id(owner[d]): owner[d] for d in wired if d in owner}.values())
        if joined and threads:
            met = [next(iter(threads.values()))]
        thread = met[0] if met else DeviceThread(f"devices of {name}")
        for table in (threads, owner):
            table.update({key: thread for key, other in table.items() if other in met})
        threads[name] = thread
        owner.update(dict.fromkeys(wired, thread))
    return threads
