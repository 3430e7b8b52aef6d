"""What every plant shares: seeded noise sources that can be saved and restored."""

import zlib
from typing import ClassVar, Literal, TypeVar

import numpy as np
import torch

from pnnlab.devices import Clock, Device
from pnnlab.errors import DeviceError
from pnnlab.quantities import FrozenModel

__all__ = ["PlantOptions", "SimPlant", "plant_of"]

T = TypeVar("T", bound="SimPlant")


class PlantOptions(FrozenModel):
    """The keys that the options of all plants share.

    Attributes:
        mismatch: Scales every hidden deviation of this plant from its design; 0 switches them off.
        precision: Floating-point type of the simulation.
        torch_device: Where the simulation computes, as `cpu` or `cuda:0`.
    """

    mismatch: float = 1.0
    precision: Literal["float32", "float64"] = "float32"
    torch_device: str = "cpu"


class SimPlant:
    """Simulated physics that joins simulated devices.

    Two kinds of randomness are kept apart: what is frozen into a specimen when it is made (`specimen`), and what is
    drawn anew with every reading (`noise`); `reseed` restarts the latter only.

    Args:
        name: The plant's name in the bench file.
        options: An instance of the class's `Options`.
        clock: The bench's clock.
        seed: Another seed is another specimen of the same design.

    Raises:
        DeviceError: This computer cannot compute on the torch device.
    """

    Options: ClassVar[type[PlantOptions]] = PlantOptions

    def __init__(self, name: str, options: PlantOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        self.name = name
        self.options = self.Options() if options is None else options
        self.clock = clock
        self.seed = seed
        self._noise: dict[str, np.random.Generator] = {}
        self._torch_noise: dict[str, torch.Generator] = {}
        self._noise_seed = seed
        self._check_torch_device()

    @property
    def dtype(self) -> torch.dtype:
        """Return the floating-point type of the simulation."""
        return torch.float64 if self.options.precision == "float64" else torch.float32

    @property
    def torch_device(self) -> torch.device:
        """Return where the simulation computes."""
        return torch.device(self.options.torch_device)

    def _check_torch_device(self) -> None:
        try:
            torch.empty(0, device=self.torch_device)
        except (RuntimeError, AssertionError) as error:
            has = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
            raise DeviceError(
                f"{self.name}: it is to compute on the torch_device {self.options.torch_device!r}, this computer has "
                f"{', '.join(has)}; correct it, or install the PyTorch build for your GPU"
            ) from error

    def specimen(self, who: str) -> torch.Generator:
        """Return a fresh generator for the frozen errors of one part; the same part gets the same ones."""
        return torch.Generator().manual_seed(_mix(self.seed, who))

    def noise(self, who: str) -> np.random.Generator:
        """Return the running noise source of one part."""
        if who not in self._noise:
            self._noise[who] = np.random.default_rng(_mix(self._noise_seed, who))
        return self._noise[who]

    def torch_noise(self, who: str) -> torch.Generator:
        """Return the running noise source of one part for tensors on the plant's torch device."""
        if who not in self._torch_noise:
            seed = _mix(self._noise_seed, f"torch {who}")
            self._torch_noise[who] = torch.Generator(self.torch_device).manual_seed(seed)
        return self._torch_noise[who]

    def reseed(self, seed: int) -> None:
        """See `pnnlab.devices.Plant.reseed`."""
        self._noise_seed = seed
        self._noise.clear()
        self._torch_noise.clear()

    def state(self) -> dict[str, object]:
        """See `pnnlab.devices.Plant.state`."""
        generators = {who: generator.bit_generator.state for who, generator in self._noise.items()}
        torch_generators = {who: generator.get_state() for who, generator in self._torch_noise.items()}
        return {"noise_seed": self._noise_seed, "generators": generators, "torch_generators": torch_generators}

    def restore(self, state: dict[str, object]) -> None:
        """See `pnnlab.devices.Plant.restore`."""
        seed, generators, torch_generators = (
            state.get(key) for key in ("noise_seed", "generators", "torch_generators")
        )
        if not (isinstance(seed, int) and isinstance(generators, dict) and isinstance(torch_generators, dict)):
            raise DeviceError(f"{self.name}: the saved state is none of this plant's; start a new run")
        self.reseed(seed)
        for who, saved in generators.items():
            self.noise(str(who)).bit_generator.state = saved
        for who, saved in torch_generators.items():
            generator = self.torch_noise(str(who))
            if saved.shape != generator.get_state().shape:
                raise DeviceError(
                    f"{self.name}: the saved noise source of {who} is none of the torch device {self.torch_device}; "
                    "resume on the kind of device that the run began on"
                )
            generator.set_state(saved)


def plant_of(device: Device, kind: type[T]) -> T:
    """Return the plant of a simulated device.

    Raises:
        DeviceError: The bench file joins it to a plant of another kind.
    """
    if not isinstance(device.plant, kind):
        found = "no plant" if device.plant is None else type(device.plant).__name__
        raise DeviceError(
            f"{device.name}: {type(device).__name__} needs a plant of the kind {kind.__name__}, found {found}; "
            "correct `plant` in the bench file"
        )
    return device.plant


def _mix(seed: int, who: str) -> int:
    """Return one seed for a part of a specimen; parts of different names are independent."""
    return int(np.random.SeedSequence([seed, zlib.crc32(who.encode())]).generate_state(1, np.uint64)[0] >> 1)
