"""A system whose physics is one function."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pnnlab.devices import Clock, Device, Identity, SimulatedClock, State
from pnnlab.nn import interface_of
from pnnlab.systems import A, Capability, ControlRange, Facilities, FloatArray, Shots, System, SystemConfig
from pnnlab.twins import PlantTwin, PlantTwinConfig

__all__ = ["FunctionSystem", "Physics"]


class Physics(Protocol):
    """What a set-up of the literature does with inputs and controls.

    A module's buffers are part of a checkpoint, so a device that drifts keeps there how far it has come.
    """

    def __call__(self, x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor | tuple[Tensor, ...]:
        """Return readings, shape `(batch, n_out)`; before them, in a tuple, what is read inside, if anything is.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            theta: Controls, shape `(n_controls,)`, or `(batch, n_controls)` where each shot has its own; or what they
                set, see `FunctionSystem`.
            noise: Source of the noise; `None` asks for the noise-free readings, differentiably, and leaves a device
                that drifts where it is.
        """
        ...


class FunctionTable(Device):
    """A simulated device that evaluates a function, and knows the truth."""

    def __init__(self, name: str, physics: Physics, seed: int, *, clock: Clock) -> None:
        super().__init__(name, clock=clock)
        self._physics = physics
        self._noise = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def read(self, x: FloatArray, theta: FloatArray) -> list[FloatArray]:
        """Return what is read inside, and last the noisy readings, of inputs and controls."""
        self._require(State.OPEN)
        found = self._physics(torch.from_numpy(x), torch.from_numpy(theta), self._noise)
        return [reading.numpy() for reading in (found if isinstance(found, tuple) else (found,))]

    def condition(self) -> dict[str, Any]:
        """Return what later readings depend on."""
        physics = self._physics.state_dict() if isinstance(self._physics, nn.Module) else {}
        return {"noise": self._noise.get_state(), "physics": {key: value.clone() for key, value in physics.items()}}

    def set_condition(self, condition: Mapping[str, Any]) -> None:
        """Go back to what `condition` returned."""
        self._noise.set_state(condition["noise"])
        if isinstance(self._physics, nn.Module):
            self._physics.load_state_dict(condition["physics"])

    def expected(self, *setpoints: Any) -> Any:
        """See `Oracle.expected`."""
        x, theta = (torch.as_tensor(setpoint) for setpoint in setpoints)
        found = self._physics(x, theta, None)
        y = found[-1] if isinstance(found, tuple) else found
        return y if isinstance(setpoints[0], Tensor) else y.numpy()

    def _open(self) -> None: ...
    def _close(self) -> None: ...
    def _make_safe(self) -> None: ...

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated function", self.name)


class FunctionSystem(System):
    """One shot: a function of inputs and controls, with the set-up's own noise.

    The drive is the inputs, shape `(batch, n_in)`, and what the controls set, shape `(batch, n_controls)`, or
    `(n_controls,)` where all shots of a batch share them, or any other shape of so many numbers.

    Args:
        physics: The function.
        sizes: Numbers of inputs, controls and outputs.
        control_range: Bounded controls go from 0 to 1; periodic ones are any numbers, and the function sees to it that
            they are periodic.
        reach: Bounded controls set numbers from -`reach` to `reach`; `None` leaves them as they are.
        setting: Shape of what the controls set where shots share them; `(n_out, n_in)` is that of a matrix of weights.
        shares_controls: See `System.shares_controls`.
        state_shapes: Of what is read inside, see `System.state_shapes`.
        capabilities: What the physics allows besides.
        precision: Of inputs, controls and readings.
        seed: Of the noise.
        name: Of the system.
        shot_s: Time of a shot in s.
        clock: The bench's time; one of its own if `None`.

    Attributes:
        reach: See above.
    """

    Config = SystemConfig
    roles: ClassVar[Mapping[str, type]] = {"table": FunctionTable}
    input_range = (-np.inf, np.inf)

    def __init__(
        self, physics: Physics, sizes: tuple[int, int, int], *, control_range: ControlRange = ControlRange.BOUNDED,
        reach: float | None = None, setting: tuple[int, ...] | None = None, shares_controls: bool = False,
        state_shapes: tuple[tuple[int, ...], ...] = (), capabilities: frozenset[Capability] = frozenset(),
        precision: str = "float32", seed: int = 0, name: str = "function", shot_s: float = 1e-3,
        clock: SimulatedClock | None = None,
    ) -> None:  # fmt: skip
        clock = clock or SimulatedClock()
        table = FunctionTable(name, physics, seed, clock=clock).open()
        config = SystemConfig.model_validate({"kind": "function", "precision": precision})
        super().__init__(name, config, {"table": table}, Facilities(clock))
        self._table, self._sizes, self._shared, self._shot_s = table, sizes, shares_controls, shot_s
        self.control_range = control_range  # type: ignore[misc] # a set-up chooses it
        self.reach, self._setting, self._state_shapes = reach, setting or (sizes[1],), state_shapes
        self._capabilities = capabilities | ({Capability.INTERNAL_STATE} if state_shapes else set())

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
        return (self.n_in,), self._setting

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `System.state_shapes`."""
        return self._state_shapes

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`."""
        return self._capabilities

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

    def state(self) -> dict[str, Any]:
        """See `System.state`: the noise, and the physics where it is a module."""
        return self._table.condition()

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `System.restore`."""
        self._table.set_condition(state)

    def twin(self) -> PlantTwin:
        """Return the noise-free function itself as a twin: training by its exact gradient."""
        return PlantTwin(PlantTwinConfig(), interface_of(self))

    def weights(self, theta: A) -> A | None:
        """See `System.weights`: what the controls set, where that is a matrix of shape `(n_out, n_in)`."""
        if not self._shared or self._setting != (self.n_out, self.n_in):
            return None
        (_, setting) = self.encode(theta[:0], theta)
        matrix: A = setting.T
        return matrix

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`."""
        setting = theta if self.reach is None else theta * (2 * self.reach) - self.reach
        return x, setting.reshape(self._setting) if self._shared else setting + 0 * x[..., :1]

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
        *inside, y = self._table.read(x[wanted], chosen)
        for state, reading in zip(shots.states, inside, strict=True):
            state[wanted] = reading
        shots.put(wanted, y, wanted, begin_s)
        self.clock.sleep_until(begin_s + self._shot_s * len(wanted))
        shots.end_s = self.clock.now_s()
        tell()
        return ""
