"""A simulated camera."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from pnnlab.devices import Camera, DeviceOptions, Identity, Limits, RegionOfInterest, SettingValue, Stamps, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.quantities import Seconds
from pnnlab_drivers.sim._plant import plant_of
from pnnlab_drivers.sim.optical_table import OpticalTable

__all__ = ["SimCamera"]


class SimCameraOptions(DeviceOptions):
    """The options of the driver `sim-camera`.

    Attributes:
        sensor: Pixels `[h, w]`; a multiple of the medium's outputs.
        bit_depth: Bits of a count.
        quantised: Whether counts are whole numbers; off for tests of gradients.
        quantum_efficiency: Electrons per photon.
        gain_counts_per_electron: Conversion gain.
        offset_counts: Black level.
        dark_electrons_per_s: Dark signal of a pixel.
        read_noise_electrons: Root mean square.
        noise: Scales shot noise (its variance's root), dark noise and read noise; 0 switches them off.
        exposure_s: Exposure after opening.
        exposure_range_s: Shortest and longest exposure.
        readout_s: From the end of an exposure to the next.
        counter_modulus: The frame counter returns to zero after this many frames.
        serial: What the camera reports.
    """

    sensor: tuple[int, int] = (64, 64)
    bit_depth: int = Field(default=10, ge=1, le=16)
    quantised: bool = True
    quantum_efficiency: float = Field(default=0.6, gt=0, le=1)
    gain_counts_per_electron: float = Field(default=0.1, gt=0)
    offset_counts: float = Field(default=0.0, ge=0)
    dark_electrons_per_s: float = Field(default=0.0, ge=0)
    read_noise_electrons: float = Field(default=0.0, ge=0)
    noise: float = Field(default=1.0, ge=0)
    exposure_s: Seconds = 2e-3
    exposure_range_s: tuple[Seconds, Seconds] = (10e-6, 10.0)
    readout_s: Seconds = 1e-3
    counter_modulus: int = Field(default=65536, ge=2)
    serial: str = "SIM-CAM-1"


class SimCamera(Camera):
    """A global-shutter sensor behind the medium of an `OpticalTable`.

    Photo-electrons are Poisson with the mean of the light that the exposure integrated, plus dark signal; read noise is
    Gaussian; counts saturate at the top of the bit depth (EMVA 1288, release 4.0, section 2: the linear camera model).
    """

    Options: ClassVar[type[DeviceOptions]] = SimCameraOptions
    needs_plant: ClassVar[bool] = True
    options: SimCameraOptions

    @property
    def sensor_shape(self) -> tuple[int, int]:
        """See `Camera.sensor_shape`."""
        return self.options.sensor

    @property
    def bit_depth(self) -> int:
        """See `Camera.bit_depth`."""
        return self.options.bit_depth

    @property
    def dtype(self) -> np.dtype[np.number]:
        """See `Camera.dtype`."""
        return super().dtype if self.options.quantised else np.dtype(np.float64)

    @property
    def readout_s(self) -> float:
        """See `Camera.readout_s`."""
        return self.options.readout_s

    @property
    def max_delay_s(self) -> float:
        """See `Camera.max_delay_s`."""
        return 10.0

    @property
    def triggers(self) -> frozenset[Trigger]:
        """See `Camera.triggers`."""
        return frozenset(Trigger)

    @property
    def exposure_s(self) -> float:
        """See `Camera.exposure_s`."""
        return self._exposure_s

    @property
    def roi(self) -> RegionOfInterest:
        """See `Camera.roi`."""
        return self._roi

    @property
    def counter_modulus(self) -> int:
        """See `Sensor.counter_modulus`."""
        return self.options.counter_modulus

    @property
    def stamp_error_s(self) -> float:
        """See `Sensor.stamp_error_s`: stamps are exact, and said to be right to a microsecond."""
        return 1e-6

    def expected(self, levels: torch.Tensor) -> torch.Tensor:
        """See `pnnlab.devices.Oracle`: counts of settled grey levels, shape `(batch, h, w)`, before rounding."""
        options = self.options
        photons = self._table.settled(levels, self._exposure_s, options.sensor)
        electrons = photons * options.quantum_efficiency + options.dark_electrons_per_s * self._exposure_s
        counts = electrons * options.gain_counts_per_electron + options.offset_counts
        roi = self._roi
        cut = counts[..., roi.top : roi.top + roi.height, roi.left : roi.left + roi.width]
        return cut.clamp(0, 2**options.bit_depth - 1).to(levels.device, levels.dtype)

    # Hooks

    def _hard_limits(self) -> dict[str, Limits]:
        return {"exposure": Limits(*self.options.exposure_range_s)}

    def _open(self) -> None:
        self._table = plant_of(self, OpticalTable)
        self._exposure_s = self.options.exposure_s
        self._roi = RegionOfInterest(0, 0, *self.options.sensor)
        self._counter = 0
        self._starts: list[float] = []
        self._taken = 0
        self._armed_trigger: Trigger | None = None

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated camera", self.options.serial, "1")

    def _close(self) -> None:
        """Nothing holds the simulated sensor."""

    def _make_safe(self) -> None:
        """A camera sources nothing."""

    def _settings(self) -> dict[str, SettingValue]:
        roi = self._roi
        return {
            "exposure_s": self._exposure_s, "bit_depth": self.bit_depth, "readout_s": self.readout_s,
            "roi": [roi.top, roi.left, roi.height, roi.width], "sensor_shape": list(self.sensor_shape),
        }  # fmt: skip

    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        self._exposure_s = self._exposure_s if exposure_s is None else exposure_s
        self._roi = self._roi if roi is None else roi

    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> int:
        self._wanted, self._armed_trigger, self._delay_s = n, trigger, delay_s
        self._starts, self._taken, self._running = [], 0, False
        return self._counter % self.options.counter_modulus

    def _start(self) -> None:
        self._running = True
        if self._armed_trigger is Trigger.INTERNAL:
            period_s = self._exposure_s + self.readout_s
            now_s = self.clock.now_s()
            self._starts = [now_s + k * period_s for k in range(self._wanted)]
        elif self._armed_trigger is Trigger.HARDWARE:
            self._table.listen(self._on_pulses)

    def _trigger(self) -> None:
        if not self._running or self._armed_trigger is not Trigger.SOFTWARE:
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them"
            )
        self._expose_at(np.array([self.clock.now_s()]))

    def _on_pulses(self, times_s: npt.NDArray[np.float64]) -> None:
        self._expose_at(times_s + self._delay_s)

    def _expose_at(self, starts_s: npt.NDArray[np.float64]) -> None:
        busy_s = self._exposure_s + self.readout_s
        for start_s in starts_s.tolist():
            # a trigger that comes while the sensor is busy is lost, as on a real one
            free = not self._starts or start_s >= self._starts[-1] + busy_s * (1 - 1e-9)
            if free and len(self._starts) < self._wanted:
                self._starts.append(start_s)

    def _wait(self, timeout_s: float) -> None:
        done, until_s = self._due(self._wanted, timeout_s)
        self.clock.sleep_until(until_s)
        if done < self._wanted:
            raise AcquisitionError(
                f"{self.name}: frame {done + 1} of the run is not there after {timeout_s:g} s; {self._note()}"
            )

    def _read(self, out: npt.NDArray[np.number], timeout_s: float) -> Stamps:
        due = self._taken + len(out)
        there, until_s = self._due(due, timeout_s)
        n = there - self._taken
        starts_s = np.array(self._starts[self._taken : self._taken + n])
        self._taken += n
        if not n:
            self.clock.sleep_until(until_s)
            return Stamps(0, self._exposure_s, np.zeros(0, np.int64), starts_s, note=self._note())
        roi = self._roi
        photons = self._table.expose(starts_s, self._exposure_s, self.options.sensor)
        cut = photons[:, roi.top : roi.top + roi.height, roi.left : roi.left + roi.width]
        out[:n] = self._digitise(cut.cpu().numpy())
        # what happens until then is decided already: computing it takes none of the bench's time
        self.clock.sleep_until(until_s)
        counters = (self._counter + np.arange(n)) % self.options.counter_modulus
        self._counter += n
        return Stamps(n, self._exposure_s, counters, starts_s, note="" if n == len(out) else self._note())

    def _digitise(self, photons: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        options, noise = self.options, self._table.noise(f"camera {self.name}")
        mean = photons * options.quantum_efficiency
        mean += options.dark_electrons_per_s * self._exposure_s
        electrons: npt.NDArray[np.floating] = mean
        if options.noise:
            drawn = noise.poisson(mean)
            electrons = mean + options.noise * (drawn - mean)
            if options.read_noise_electrons:
                sigma = options.noise * options.read_noise_electrons
                electrons += sigma * noise.standard_normal(mean.shape, dtype=np.float32)
        counts = electrons * options.gain_counts_per_electron
        counts += options.offset_counts
        if options.quantised:
            np.rint(counts, out=counts)
        return np.clip(counts, 0, 2**options.bit_depth - 1, out=counts)

    def _due(self, n: int, timeout_s: float) -> tuple[int, float]:
        """Return how many of `n` frames of the run will be there within `timeout_s`, and when a wait for all ends."""
        deadline_s = self.clock.now_s() + timeout_s
        ready_s = [start_s + self._exposure_s + self.readout_s for start_s in self._starts[:n]]
        there = sum(time_s <= deadline_s for time_s in ready_s)
        return there, ready_s[n - 1] if there == n else deadline_s

    def _note(self) -> str:
        busy_s = self._exposure_s + self.readout_s
        return (
            f"{len(self._starts)} of {self._wanted} {self._armed_trigger} triggers came; "
            "look at the trigger line, and whether triggers come faster than exposure and read-out "
            f"allow ({busy_s:g} s)"
        )

    def _disarm(self) -> None:
        if self._armed_trigger is Trigger.HARDWARE and self._running:
            self._table.unlisten(self._on_pulses)
        self._armed_trigger, self._running = None, False
