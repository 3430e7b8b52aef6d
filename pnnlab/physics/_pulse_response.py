"""The response of a cell to one programming pulse.

States are weights in the unit of the response's bounds: +-1 for the presets. A conductance is a reference plus
weight times scale (`DifferentialPair`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

import torch
from torch import Tensor

__all__ = [
    "PULSE_PRESETS",
    "ConstantStep",
    "ExponentialStep",
    "LinearStep",
    "PulseResponse",
    "PulsedCells",
    "SoftBounds",
    "StepLaw",
    "draw_cells",
    "pulse_preset",
    "symmetry_point",
]

_BISECTIONS = 60  # one bit of the weight each, more than a double has


class StepLaw(Protocol):
    """How the step of one pulse depends on the weight, as a factor on the cell's own step."""

    def bends(self, cells: "PulsedCells", normal_up: Tensor, normal_down: Tensor) -> tuple[Tensor, Tensor]:
        """Return the relative loss of the up and of the down step for a unit of weight, drawn once a cell."""
        ...

    def factors(self, w: Tensor, cells: "PulsedCells") -> tuple[Tensor, Tensor]:
        """Return the factors of the up and of the down step at `w`, shapes that broadcast to `w`'s."""
        ...


@dataclass(frozen=True)
class ConstantStep:
    """The same step wherever the weight is."""

    def bends(self, cells: "PulsedCells", normal_up: Tensor, normal_down: Tensor) -> tuple[Tensor, Tensor]:
        """See `StepLaw.bends`."""
        return torch.zeros_like(normal_up), torch.zeros_like(normal_down)

    def factors(self, w: Tensor, cells: "PulsedCells") -> tuple[Tensor, Tensor]:
        """See `StepLaw.factors`."""
        one = w.new_ones(())
        return one, one


@dataclass(frozen=True)
class LinearStep:
    """A step that shrinks linearly towards the bound it leads to: 1 - gamma w/bound, mean bounds of the response.

    Attributes:
        gamma_up: Part of the up step that is lost at the upper bound.
        gamma_down: Part of the down step that is lost at the lower bound.
        gamma_up_spread: Standard deviation of gamma_up from cell to cell; a cell takes the absolute value.
        gamma_down_spread: The same of gamma_down.
    """

    gamma_up: float
    gamma_down: float
    gamma_up_spread: float = 0.0
    gamma_down_spread: float = 0.0

    def bends(self, cells: "PulsedCells", normal_up: Tensor, normal_down: Tensor) -> tuple[Tensor, Tensor]:
        """See `StepLaw.bends`."""
        up = (self.gamma_up + self.gamma_up_spread * normal_up).abs() / cells.response.high
        down = (self.gamma_down + self.gamma_down_spread * normal_down).abs() / -cells.response.low
        return up, down

    def factors(self, w: Tensor, cells: "PulsedCells") -> tuple[Tensor, Tensor]:
        """See `StepLaw.factors`."""
        return 1.0 - cells.bend_up * w, 1.0 + cells.bend_down * w


@dataclass(frozen=True)
class SoftBounds:
    """A step that shrinks linearly and vanishes at the cell's own bound, which is so never passed on average."""

    def bends(self, cells: "PulsedCells", normal_up: Tensor, normal_down: Tensor) -> tuple[Tensor, Tensor]:
        """See `StepLaw.bends`."""
        return 1.0 / cells.high, -1.0 / cells.low

    def factors(self, w: Tensor, cells: "PulsedCells") -> tuple[Tensor, Tensor]:
        """See `StepLaw.factors`."""
        return 1.0 - cells.bend_up * w, 1.0 + cells.bend_down * w


@dataclass(frozen=True)
class ExponentialStep:
    """A step max(1 - A exp(+-gamma z), 0), upper sign up, with z = 2 a w/(high - low) + b (Gong et al. 2018).

    Attributes:
        a: Factor of the weight, relative to half the cell's range.
        b: Offset.
        amplitude_up: A of the up step.
        amplitude_down: A of the down step.
        gamma_up: gamma of the up step.
        gamma_down: gamma of the down step.
    """

    a: float
    b: float
    amplitude_up: float
    amplitude_down: float
    gamma_up: float
    gamma_down: float

    def bends(self, cells: "PulsedCells", normal_up: Tensor, normal_down: Tensor) -> tuple[Tensor, Tensor]:
        """See `StepLaw.bends`."""
        return torch.zeros_like(normal_up), torch.zeros_like(normal_down)

    def factors(self, w: Tensor, cells: "PulsedCells") -> tuple[Tensor, Tensor]:
        """See `StepLaw.factors`."""
        z = 2.0 * self.a * w / (cells.high - cells.low) + self.b
        up = 1.0 - self.amplitude_up * torch.exp(self.gamma_up * z)
        down = 1.0 - self.amplitude_down * torch.exp(-self.gamma_down * z)
        return up.clamp(min=0.0), down.clamp(min=0.0)


@dataclass(frozen=True)
class PulseResponse:
    """How a kind of cell answers one pulse; `dataclasses.replace` makes variants.

    Spreads are from cell to cell and fixed once drawn, relative to the quantity itself.

    Attributes:
        name: Short name, as `"ecram-tang-2018"`.
        source: Publication and what was left out.
        law: How the step depends on the weight.
        step: Mean size of one step before the law's factor, in the stronger direction.
        low: Mean lower bound, below 0.
        high: Mean upper bound, above 0.
        asymmetry: Part by which the down step is smaller than the up step; negative: the up step is.
        step_spread: Standard deviation of the step.
        asymmetry_spread: Standard deviation of half the difference of up and down step, relative to `step`.
        low_spread: Standard deviation of the lower bound.
        high_spread: Standard deviation of the upper bound.
        cycle_std: Standard deviation from pulse to pulse, relative to the step that `cycle_reference` names.
        cycle_reference: Whether a pulse's noise follows the `"present"` step or stays that of the `"nominal"` one.
        log_normal: Whether the step is spread as exp(step_spread xi) and not as 1 + step_spread xi.
    """

    name: str
    source: str
    law: StepLaw
    step: float
    low: float = -1.0
    high: float = 1.0
    asymmetry: float = 0.0
    step_spread: float = 0.0
    asymmetry_spread: float = 0.0
    low_spread: float = 0.0
    high_spread: float = 0.0
    cycle_std: float = 0.0
    cycle_reference: Literal["present", "nominal"] = "present"
    log_normal: bool = False

    def __post_init__(self) -> None:
        if not (self.step > 0.0 and self.low < 0.0 < self.high and -1.0 < self.asymmetry < 1.0):
            raise ValueError(
                f"{self.name}: step is {self.step:g}, bounds are {self.low:g} to {self.high:g}, asymmetry is "
                f"{self.asymmetry:g}, expected a step above 0, bounds around 0 and an asymmetry between -1 and 1"
            )
        spreads = (self.step_spread, self.asymmetry_spread, self.low_spread, self.high_spread, self.cycle_std)
        if not min(spreads) >= 0.0:
            raise ValueError(f"{self.name}: the smallest spread is {min(spreads):g}, expected none below 0")

    @property
    def mean_step(self) -> float:
        """Mean of the up and the down step of a mean cell at weight zero: the step that pulses count on."""
        zero, low, high = torch.tensor([0.0, self.low, self.high], dtype=torch.float64)
        up, down = self.law.factors(zero, PulsedCells(self, zero, zero, low, high, zero, zero))
        total = (1.0 + min(self.asymmetry, 0.0)) * up + (1.0 - max(self.asymmetry, 0.0)) * down
        return 0.5 * self.step * float(total)


@dataclass(frozen=True)
class PulsedCells:
    """The cells of one array, each with its own response; shape `(n_rows, n_cols)` throughout.

    Attributes:
        response: What kind of cell they are.
        step_up: Step of an up pulse before the law's factor.
        step_down: Step of a down pulse, likewise; positive.
        low: Lower bound.
        high: Upper bound.
        bend_up: Relative loss of the up step for a unit of weight.
        bend_down: Relative loss of the down step for a unit of negative weight.
    """

    response: PulseResponse
    step_up: Tensor
    step_down: Tensor
    low: Tensor
    high: Tensor
    bend_up: Tensor
    bend_down: Tensor

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return what differs from cell to cell, in the order of the attributes."""
        return self.step_up, self.step_down, self.low, self.high, self.bend_up, self.bend_down

    def to(self, torch_device: torch.device | str) -> "PulsedCells":
        """Return the same cells with their tensors on `torch_device`."""
        return PulsedCells(self.response, *(tensor.to(torch_device) for tensor in self.tensors()))


def draw_cells(
    response: PulseResponse, n_rows: int, n_cols: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
) -> PulsedCells:
    """Draw an array of cells of one kind, on the generator's torch device.

    A step or bound that a normal spread carries through zero is taken by its absolute value. The number of random
    draws does not depend on the response, so that switching one spread off leaves the others' numbers unchanged.
    """
    shape = (6, n_rows, n_cols)
    normal = torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)
    gain = (
        torch.exp(response.step_spread * normal[0]) if response.log_normal else 1.0 + response.step_spread * normal[0]
    )
    tilt = response.asymmetry_spread * normal[1]
    high = (response.high * (1.0 + response.high_spread * normal[2])).abs()
    low = -(response.low * (1.0 + response.low_spread * normal[3])).abs()
    up = response.step * (gain + min(response.asymmetry, 0.0) + tilt).abs()
    down = response.step * (gain - max(response.asymmetry, 0.0) - tilt).abs()
    straight = PulsedCells(response, up, down, low, high, torch.zeros_like(up), torch.zeros_like(up))
    return PulsedCells(response, up, down, low, high, *response.law.bends(straight, normal[4], normal[5]))


def symmetry_point(cells: PulsedCells) -> Tensor:
    """Return the weight at which a cell's up and down step are equal, shape `(n_rows, n_cols)`.

    Up and down pulses in turn drive a cell there. Where one direction is stronger everywhere it is the bound of
    that direction, where both are equal everywhere the middle of the range.
    """
    low, high = cells.low, cells.high
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        up, down = cells.response.law.factors(middle, cells)
        excess = cells.step_up * up - cells.step_down * down
        low, high = torch.where(excess >= 0.0, middle, low), torch.where(excess <= 0.0, middle, high)
    return 0.5 * (low + high)


_NO_WRITE_NOISE = "Left out: write noise, which spreads what is read and not the state that pulses move."


def _reram_array(
    material: str, step: float, step_spread: float, spreads: tuple[float, float], cycle_std: float
) -> PulseResponse:
    low_spread, high_spread = spreads
    return PulseResponse(
        name=f"reram-{material}-gong-2022",
        source=(
            f"HfO2 ReRAM array, {material} material: Gong, Rasch et al., IEDM 2022, with aihwkit's fit. The weight is "
            f"that before a reference is subtracted; no corrupt cells. {_NO_WRITE_NOISE}"
        ),
        law=SoftBounds(),
        step=step,
        step_spread=step_spread,
        asymmetry_spread=0.01,
        low_spread=low_spread,
        high_spread=high_spread,
        cycle_std=cycle_std,
        cycle_reference="nominal",
        log_normal=True,
    )


PULSE_PRESETS: Mapping[str, PulseResponse] = MappingProxyType(
    {
        response.name: response
        for response in (
            PulseResponse(
                name="capacitor-li-2018",
                source="Capacitor cell: Li et al., VLSI 2018, with aihwkit's fit. Left out: leakage.",
                law=LinearStep(0.05, 0.05, gamma_up_spread=0.01, gamma_down_spread=0.01),
                step=0.005,
                step_spread=0.1,
                asymmetry_spread=0.06,
                low_spread=0.07,
                high_spread=0.07,
                cycle_std=0.3,
                cycle_reference="nominal",
            ),
            PulseResponse(
                name="ecram-kim-2019",
                source="Metal-oxide ECRAM: Kim et al., IEDM 2019, with aihwkit's fit, symmetry point shifted to zero.",
                law=LinearStep(0.4152, 0.7342, gamma_up_spread=0.05, gamma_down_spread=0.05),
                step=2.8214e-4,
                low=-0.8286,
                high=1.1714,
                step_spread=0.1,
                asymmetry_spread=0.01,
                low_spread=0.05,
                high_spread=0.05,
                cycle_std=2.0,
            ),
            PulseResponse(
                name="ecram-tang-2018",
                source="Lithium ECRAM: Tang et al., IEDM 2018, with aihwkit's fit, symmetry point shifted to zero.",
                law=LinearStep(0.1153, 0.5085, gamma_up_spread=0.05, gamma_down_spread=0.05),
                step=0.002,
                low=-0.8276,
                high=1.1724,
                step_spread=0.1,
                asymmetry_spread=0.01,
                low_spread=0.05,
                high_spread=0.05,
                cycle_std=0.3,
            ),
            PulseResponse(
                name="gokmen-vlasov-2016",
                source="Device specification of Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016), scaled to +-1.",
                law=ConstantStep(),
                step=0.0016,
                step_spread=0.3,
                asymmetry_spread=0.01,
                low_spread=0.3,
                high_spread=0.3,
                cycle_std=0.3,
            ),
            PulseResponse(
                name="idealized-rasch-2019",
                source="Symmetric device of 10 000 states: Rasch, Gokmen and Haensch, IEEE Design & Test 2019.",
                law=ConstantStep(),
                step=0.0002,
                step_spread=0.3,
                low_spread=0.3,
                high_spread=0.3,
                cycle_std=0.3,
            ),
            PulseResponse(
                name="reram-gong-2018",
                source=f"HfO2 ReRAM: Gong et al., Nat. Commun. 9, 2102 (2018), with aihwkit's fit. {_NO_WRITE_NOISE}",
                law=ExponentialStep(
                    a=-0.5, b=-0.5, amplitude_up=-1.18445, amplitude_down=-0.081404, gamma_up=5.0, gamma_down=5.0
                ),
                step=0.00135,
                asymmetry=0.259359,
                step_spread=0.2,
                asymmetry_spread=0.05,
                low_spread=0.3,
                high_spread=0.3,
                cycle_std=5.0,
            ),
            PulseResponse(
                name="reram-gong-2018-soft-bounds",
                source=(
                    "HfO2 ReRAM: Gong et al., Nat. Commun. 9, 2102 (2018), with aihwkit's loose fit of soft bounds, a "
                    f"reference at the symmetry point subtracted. {_NO_WRITE_NOISE}"
                ),
                law=SoftBounds(),
                step=0.002,
                low=-0.75,
                high=1.25,
                step_spread=0.3,
                asymmetry_spread=0.01,
                low_spread=0.4,
                high_spread=0.24,
                cycle_std=3.75,
                cycle_reference="nominal",
            ),
            _reram_array("baseline", 0.4622, 0.7125, (0.5990, 0.4295), 0.2174),
            _reram_array("optimised", 0.0949, 0.7829, (0.5695, 0.3499), 0.4158),
        )
    }
)
"""The published responses by name; read-only. Parameters as in aihwkit 1.2.0's presets of the same devices."""


def pulse_preset(name: str) -> PulseResponse:
    """Return a published response.

    Raises:
        ValueError: No preset has this name; the message lists those there are.
    """
    if name not in PULSE_PRESETS:
        raise ValueError(f"no pulse response is named {name!r}; there are {', '.join(sorted(PULSE_PRESETS))}")
    return PULSE_PRESETS[name]
