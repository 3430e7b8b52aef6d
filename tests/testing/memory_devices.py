"""Small complete devices of every role, in memory: what a correct driver looks like to the conformance kit."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pnnlab.devices import (
    ADC,
    DAC,
    Camera,
    Clock,
    CrossbarArray,
    Device,
    Identity,
    Limits,
    RegionOfInterest,
    SettingValue,
    SpatialLightModulator,
    Stamps,
    Trigger,
)
from pnnlab.errors import AcquisitionError, DeviceError

Floats = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.number]


class Steps:
    """The steps of an armed run: when each begins."""

    def __init__(self, clock: Clock, n: int, trigger: Trigger, step_s: float) -> None:
        self._clock, self.n, self.trigger, self.step_s = clock, n, trigger, step_s
        self.starts_s: list[float] = []
        self._started = False

    def start(self) -> None:
        self._started = True
        if self.trigger is Trigger.INTERNAL:
            self.starts_s = [self._clock.now_s() + k * self.step_s for k in range(self.n)]

    def step(self) -> None:
        now_s = self._clock.now_s()
        if self._started and len(self.starts_s) < self.n:
            self.starts_s.append(max([now_s, *(start_s + self.step_s for start_s in self.starts_s[-1:])]))

    def wait(self, k: int, timeout_s: float) -> None:
        """Return when `k` steps are done."""
        deadline_s = self._clock.now_s() + timeout_s
        due_s = self.starts_s[k - 1] + self.step_s if len(self.starts_s) >= k else np.inf
        if due_s > deadline_s:
            self._clock.sleep_until(deadline_s)
            raise AcquisitionError(f"step {k} of {self.n} is not done after {timeout_s:g} s")
        self._clock.sleep_until(due_s)

    def come(self, k: int, timeout_s: float) -> int:
        """Return how many of `k` steps are done, waiting for all of them but not longer."""
        deadline_s = self._clock.now_s() + timeout_s
        ends_s = [start_s + self.step_s for start_s in self.starts_s[:k]]
        done = sum(end_s <= deadline_s for end_s in ends_s)
        self._clock.sleep_until(ends_s[-1] if done == k else deadline_s)
        return done


class MemoryDevice(Device):
    """What the devices here share: an identity, and runs of `Steps`."""

    steps: Steps
    wire = "well"
    """What is wrong with the instrument: silent, gone, gullible or losing."""

    def _ask(self) -> None:
        """Stand for a question to the instrument and its answer."""
        if self.wire == "silent":
            raise TimeoutError("no answer")
        if self.wire == "gone":
            raise OSError("no such device")

    def _claims(self) -> Sequence[str]:
        return (f"memory {type(self).__name__}",)

    def _open(self) -> None:
        self._ask()
        self._reset()

    def _reset(self) -> None:
        """Be as after power-on."""

    def _settings(self) -> dict[str, SettingValue]:
        self._ask()
        return self._facts()

    def _facts(self) -> dict[str, SettingValue]:
        raise NotImplementedError

    def _identify(self) -> Identity:
        self._ask()
        return Identity("pnnlab tests", type(self).__name__, "7", "1.0")

    def _close(self) -> None:
        """Nothing to let go."""

    def _make_safe(self) -> None:
        """Nothing goes out."""

    def _begin(self, n: int, trigger: Trigger, step_s: float) -> None:
        self.steps = Steps(self.clock, n, trigger, step_s)

    def _start(self) -> None:
        self.steps.start()

    def _trigger(self) -> None:
        self.steps.step()

    def edge(self) -> None:
        """Stand for an edge on the trigger line."""
        if self.steps.trigger is Trigger.HARDWARE:
            self.steps.step()

    def _wait(self, timeout_s: float) -> None:
        self.steps.wait(self.steps.n, timeout_s)

    def _disarm(self) -> None:
        del self.steps


class MemorySlm(MemoryDevice, SpatialLightModulator):
    """A panel of 3 × 5 pixels that holds 10 patterns."""

    shape = (3, 5)
    levels = 200
    pitch_m = 8e-6
    frame_period_s = 1 / 60
    settle_s = 0.02
    max_sequence = 10
    triggers = frozenset(Trigger)

    def _facts(self) -> dict[str, SettingValue]:
        return {"shape": list(self.shape), "pitch_m": self.pitch_m, "frame_period_s": self.frame_period_s}

    def _reset(self) -> None:
        self.shown = np.zeros(self.shape, self.dtype)

    def _make_safe(self) -> None:
        self.shown = np.zeros(self.shape, self.dtype)

    def _write(self, levels: Numbers) -> None:
        self._ask()
        self.shown = np.minimum(levels, 100) if self.wire == "gullible" else levels.copy()
        if not np.array_equal(self.shown, levels):
            raise DeviceError(f"{self.name}: shows other levels than it was sent")

    def _arm_sequence(self, levels: Numbers, trigger: Trigger, period_s: float) -> None:
        self._begin(len(levels), trigger, period_s if trigger is Trigger.INTERNAL else self.frame_period_s)


class MemoryCamera(MemoryDevice, Camera):
    """A camera of 6 × 8 pixels, whose counts tell the number of the frame."""

    sensor_shape = (6, 8)
    bit_depth = 10
    readout_s = 1e-3
    max_delay_s = 1.0
    triggers = frozenset(Trigger)
    exposure_s = 0.0
    roi = RegionOfInterest(0, 0, 6, 8)
    step_s = 10e-6
    counter_modulus = 4
    stamp_error_s = 0.0

    def _facts(self) -> dict[str, SettingValue]:
        return {"exposure_s": self.exposure_s, "bit_depth": self.bit_depth}

    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"exposure": Limits(20e-6, 2.0)}

    def _reset(self) -> None:
        self.counter = 0
        self._configure(2e-3, RegionOfInterest(0, 0, *self.sensor_shape))

    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        self._ask()
        if exposure_s is not None and self.wire == "gullible":
            exposure_s = min(exposure_s, 0.5)
        if exposure_s is not None:
            self.exposure_s = round(exposure_s / self.step_s) * self.step_s
        self.roi = roi or self.roi

    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> int | None:
        self._ask()
        self._begin(n, trigger, self.exposure_s + self.readout_s)
        self.taken = 0
        return self.counter % self.counter_modulus

    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        n = self.steps.come(self.taken + len(out), timeout_s) - self.taken
        starts_s = np.array(self.steps.starts_s[self.taken : self.taken + n])
        counters = (self.counter + np.arange(n)) % self.counter_modulus
        out[:n] = (self.counter + np.arange(n))[:, None, None] % 2**self.bit_depth
        self.taken += n
        self.counter += n
        if self.wire == "losing":
            lost = out[-1]
            out[:-1] = out[1:]
            out[-1] = lost
            return Stamps(n - 1, self.exposure_s, counters[1:], starts_s[1:])
        return Stamps(n, self.exposure_s, counters, starts_s)


class MemoryDac(MemoryDevice, DAC):
    """Three outputs of 12 bits, codes of two's complement."""

    n_outputs = 3
    max_update_rate_hz = 1e5
    max_samples = 100
    start_error_s = 0.0
    waveform_triggers = frozenset(Trigger)
    lsb_v = 10 / 2**12

    def _facts(self) -> dict[str, SettingValue]:
        return {"step_v": self.lsb_v, "range_v": [-5.0, 5.0 - self.lsb_v], "filter": None}

    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"voltage": Limits(-5.0, 5.0 - self.lsb_v)}

    def _reset(self) -> None:
        self._held: Floats = np.zeros(self.n_outputs)
        self._waveform: Floats | None = None

    def _make_safe(self) -> None:
        self._held = np.zeros(self.n_outputs)

    def _realise(self, volts: Floats) -> Floats:
        realised: Floats = np.rint(volts / self.lsb_v) * self.lsb_v
        return realised

    @property
    def present_v(self) -> Floats:
        if self._waveform is None or not self.steps.starts_s:
            return self._held.copy()
        sample = int((self.clock.now_s() - self.steps.starts_s[0]) * self._rate_hz + 1e-3)
        volts: Floats = self._waveform[min(sample, len(self._waveform) - 1)].copy()
        return volts

    def _write(self, volts: Floats) -> None:
        self._ask()
        self._held = volts.clip(-1.0, 1.0) if self.wire == "gullible" else volts.copy()
        if not np.array_equal(self._held, volts):
            raise DeviceError(f"{self.name}: has other voltages than it was sent")

    def _arm_waveform(self, volts: Floats, rate_hz: float, trigger: Trigger) -> None:
        self._waveform, self._rate_hz = volts.copy(), rate_hz
        self._begin(1, trigger, len(volts) / rate_hz)

    def _begun_s(self) -> float:
        if not self.steps.starts_s:
            raise AcquisitionError("the waveform has not begun")
        return self.steps.starts_s[0]

    def _disarm(self) -> None:
        self._held, self._waveform = self.present_v, None
        super()._disarm()


class MemoryAdc(MemoryDevice, ADC):
    """Two inputs that see a slow wave."""

    n_inputs = 2
    max_sample_rate_hz = 1e5
    range_v = (-10.0, 10.0)
    stamp_error_s = 0.0
    triggers = frozenset(Trigger)

    def _facts(self) -> dict[str, SettingValue]:
        return {"range_v": list(self.range_v), "channels": self.n_inputs}

    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> int | None:
        self._ask()
        self._begin(n, trigger, n_samples / rate_hz)
        self.rate_hz, self.taken = rate_hz, 0
        return None

    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        n_samples = out.shape[1]
        n = self.steps.come(self.taken + len(out), timeout_s) - self.taken
        starts_s = np.array(self.steps.starts_s[self.taken : self.taken + n])
        times_s = starts_s[:, None] + np.arange(n_samples) / self.rate_hz
        out[:n] = np.stack([np.sin(times_s), np.cos(times_s)], axis=-1)
        self.taken += n
        lost = int(self.wire == "losing")
        return Stamps(n - lost, n_samples / self.rate_hz, start_s=starts_s[: n - lost])


class MemoryCrossbar(MemoryDevice, CrossbarArray):
    """Cells of 33 levels, read with noise, behind row drivers of 8 bits."""

    shape = (4, 3)
    levels_siemens = np.linspace(1e-6, 100e-6, 33)
    step_v = 0.4 / 2**8

    def _facts(self) -> dict[str, SettingValue]:
        return {"shape": list(self.shape), "lowest_siemens": float(self.levels_siemens[0])}

    def _hard_limits(self) -> Mapping[str, Limits]:
        low, high = self.levels_siemens[[0, -1]].tolist()
        return {"conductance": Limits(low, high), "voltage": Limits(-0.2, 0.2)}

    def _reset(self) -> None:
        self._noise = np.random.default_rng(0)
        self._siemens = self.aimed = np.full(self.shape, self.levels_siemens[0])
        self.rows_v = np.zeros(self.shape[0])

    def _realise(self, siemens: Floats) -> Floats:
        nearest = np.abs(siemens[..., None] - self.levels_siemens).argmin(-1)
        realised: Floats = self.levels_siemens[nearest]
        return realised

    def _realise_voltage(self, volts: Floats) -> Floats:
        realised: Floats = np.rint(volts / self.step_v) * self.step_v
        return realised

    def _program(self, siemens: Floats) -> None:
        self._ask()
        self.aimed = siemens.clip(0, 50e-6) if self.wire == "gullible" else siemens
        if not np.array_equal(self.aimed, siemens):
            raise DeviceError(f"{self.name}: aims at other conductances than it was sent")
        self._siemens = siemens * (1 + 0.02 * self._noise.standard_normal(self.shape))

    def _multiply(self, volts: Floats) -> Floats:
        self._ask()
        self.rows_v = volts[-1]
        amps: Floats = volts @ self._siemens
        return amps

    def _make_safe(self) -> None:
        self.rows_v = np.zeros(self.shape[0])

    def _read_conductance(self) -> Floats:
        self._ask()
        read: Floats = self._siemens * (1 + 0.01 * self._noise.standard_normal(self.shape))
        return read


class MemoryMishaps:
    """What a test of a device in memory can make go wrong, for a conformance class to inherit."""

    peer = "memory"
    hidden: ClassVar[Mapping[str, str]] = {
        "level": "shown", "voltage": "_held", "conductance": "aimed", "exposure": "exposure_s",
    }  # fmt: skip

    def pulse(self, device: MemoryDevice) -> None:
        device.edge()

    @contextmanager
    def wrong(self, device: MemoryDevice, what: str) -> Iterator[None]:
        device.wire = what
        try:
            yield
        finally:
            del device.wire

    def silent(self, device: MemoryDevice) -> AbstractContextManager[None]:
        return self.wrong(device, "silent")

    def unplugged(self, device: MemoryDevice) -> AbstractContextManager[None]:
        return self.wrong(device, "gone")

    def losing(self, device: MemoryDevice) -> AbstractContextManager[None]:
        return self.wrong(device, "losing")

    def gullible(self, device: MemoryDevice) -> AbstractContextManager[None]:
        return self.wrong(device, "gullible")

    def instrument_has(self, device: MemoryDevice, quantity: str) -> Numbers:
        name = "rows_v" if isinstance(device, MemoryCrossbar) and quantity == "voltage" else self.hidden[quantity]
        return np.asarray(getattr(device, name))
