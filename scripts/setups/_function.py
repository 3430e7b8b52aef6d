"""A system whose physics is one function."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pnnlab.devices import Clock, Device, Identity, SimulatedClock, State
from pnnlab.nn import interface_of
from pnnlab.systems import A, ControlRange, Facilities, FloatArray, System, SystemConfig
from pnnlab.systems._shots import Shots
from pnnlab.twins import PlantTwin, PlantTwinConfig

__all__ = ["FunctionSystem", "Physics"]


class Physics(Protocol):
    """What a set-up of the literature does with inputs and controls."""

    def __call__(self, x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        """Return readings, shape `(batch, n_out)`.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            theta: Controls, shape `(n_controls,)`, or `(batch, n_controls)` where each shot has its own.
            noise: Source of the noise; `None` asks for the noise-free readings, differentiably.
        """
        ...


class FunctionTable(Device):
    """A simulated device that evaluates a function, and knows the truth."""

    def __init__(self, name: str, physics: Physics, seed: int, *, clock: Clock) -> None:
        super().__init__(name, clock=clock)
        self._physics = physics
        self._noise = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def read(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        """Return noisy readings of inputs and controls."""
        self._require(State.OPEN)
        return self._physics(torch.from_numpy(x), torch.from_numpy(theta), self._noise).numpy()

    def expected(self, *setpoints: Any) -> Any:
        """See `Oracle.expected`."""
        x, theta = (torch.as_tensor(setpoint) for setpoint in setpoints)
        y = self._physics(x, theta, None)
        return y if isinstance(setpoints[0], Tensor) else y.numpy()

    def _open(self) -> None: ...
    def _close(self) -> None: ...
    def _make_safe(self) -> None: ...

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated function", self.name)


class FunctionSystem(System):
    """One shot: a function of inputs and controls, with the set-up's own noise.

    The drive is the inputs, shape `(batch, n_in)`, and the controls, shape `(batch, n_controls)`, or `(n_controls,)`
    where all shots of a batch share them.

    Args:
        physics: The function.
        sizes: Numbers of inputs, controls and outputs.
        control_range: Bounded controls go from 0 to 1; periodic ones are any numbers, and the function sees to it that
            they are periodic.
        shares_controls: See `System.shares_controls`.
        precision: Of inputs, controls and readings.
        seed: Of the noise.
        name: Of the system.
        shot_s: Time of a shot in s.
    """

    Config = SystemConfig
    roles: ClassVar[Mapping[str, type]] = {"table": FunctionTable}
    input_range = (-np.inf, np.inf)

    def __init__(
        self, physics: Physics, sizes: tuple[int, int, int], *, control_range: ControlRange = ControlRange.BOUNDED,
        shares_controls: bool = False, precision: str = "float32", seed: int = 0, name: str = "function",
        shot_s: float = 1e-3,
    ) -> None:  # fmt: skip
        clock = SimulatedClock()
        table = FunctionTable(name, physics, seed, clock=clock).open()
        config = SystemConfig.model_validate({"kind": "function", "precision": precision})
        super().__init__(name, config, {"table": table}, Facilities(clock))
        self._table, self._sizes, self._shared, self._shot_s = table, sizes, shares_controls, shot_s
        self.control_range = control_range  # type: ignore[misc] # a set-up chooses it

    @property
    def n_in(self) -> int:
        """See `System.n_in`."""
        return self._sizes[0]

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`."""
        return self._sizes[1]

    @property
    def n_out(self) -> int:
        """See `System.n_out`."""
        return self._sizes[2]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `System.output_shape`."""
        return (self.n_out,)

    @property
    def drive_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `System.drive_shapes`."""
        return (self.n_in,), (self.n_controls,)

    @property
    def shares_controls(self) -> bool:
        """See `System.shares_controls`."""
        return self._shared

    @property
    def shot_s(self) -> float:
        """See `System.shot_s`."""
        return self._shot_s

    @property
    def sensor(self) -> Device:
        """See `System.sensor`."""
        return self._table

    def twin(self) -> PlantTwin:
        """Return the noise-free function itself as a twin: training by its exact gradient."""
        return PlantTwin(PlantTwinConfig(), interface_of(self))

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`."""
        return x, theta if self._shared else theta + 0 * x[..., :1]

    def to_setpoints(self, *drive: A) -> tuple[A, ...]:
        """See `System.to_setpoints`: as they are."""
        return drive

    def decode(self, reading: A) -> A:
        """See `System.decode`: as they are."""
        return reading

    def _take(
        self, setpoints: object, wanted: npt.NDArray[np.int64], shots: Shots, tell: Callable[[], None]
    ) -> str:  # fmt: skip
        x, theta = cast(tuple[FloatArray, FloatArray], setpoints)
        begin_s = self.clock.now_s()
        shots.drive[0][wanted] = x[wanted]
        chosen = theta if self._shared else theta[wanted]
        shots.drive[1][... if self._shared else wanted] = chosen
        shots.put(wanted, self._table.read(x[wanted], chosen), wanted, begin_s)
        self.clock.sleep_until(begin_s + self._shot_s * len(wanted))
        shots.end_s = self.clock.now_s()
        tell()
        return ""
