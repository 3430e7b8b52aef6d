"""Fixed random projections of the error: digital, or made by a physical system."""

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.errors import RunError
from pnnlab.methods._setting import Setting
from pnnlab.nn import PhysicalLayer
from pnnlab.quantities import FrozenModel
from pnnlab.systems import System

__all__ = [
    "PhysicalProjection",
    "Projection",
    "ProjectorOptions",
    "RandomProjection",
    "projecting_system",
    "projections",
]


class ProjectorOptions(FrozenModel):
    """A system of the bench that makes the random projection (Launay et al. 2020, arXiv 2006.01475; Filipovich 2022).

    Attributes:
        system: Its name below `systems:` in the bench file; it may be one of the network's own.
        encoding: `ternary` shows -1, 0 or 1 for each entry of the error, `linear` its size relative to the largest.
        threshold: Entries below this part of the largest are shown as 0; `ternary` only.
        reference: What is subtracted from the reading of the error: half of the reading of its `opposite` (and half of
            the error's own: twice the shots, free of what is even in the error), or the reading of `zero` input (one
            shot more for each batch or micro-batch).
        scale: Root mean square of the inputs at a full error; in units of the half range where inputs are bounded.
    """

    system: str
    encoding: Literal["ternary", "linear"] = "ternary"
    threshold: float = Field(default=0.1, ge=0, lt=1)
    reference: Literal["opposite", "zero"] = "opposite"
    scale: float = Field(default=1.0, gt=0, le=1)


class Projection(Protocol):
    """A fixed map from errors, shape `(batch, n_classes)`, to shape `(batch, n)`."""

    n_measurements: int
    """How many measurements one call makes."""

    def __call__(self, error: Tensor) -> Tensor: ...


class RandomProjection:
    """A fixed Gaussian matrix, `e · B / √n_classes`.

    Args:
        n_classes: Length of the errors.
        n: Length of what comes out.
        generator: Source of B.
        dtype: Floating type.

    Attributes:
        matrix: B / √n_classes, shape `(n_classes, n)`.
    """

    n_measurements = 0

    def __init__(self, n_classes: int, n: int, generator: torch.Generator, dtype: torch.dtype) -> None:
        self.matrix = torch.randn(n_classes, n, generator=generator, dtype=dtype) / n_classes**0.5

    def __call__(self, error: Tensor) -> Tensor:
        """See `Projection`."""
        projected: Tensor = error @ self.matrix
        return projected


class PhysicalProjection:
    """A system whose controls are random and fixed: errors are shown on its inputs, readings less a reference come out.

    Each entry of the error is shown on a run of neighbouring inputs of equal length. To first order a reading changes
    by a fixed random combination of the inputs, whatever the physics; the size of the error, which the encoding drops,
    is multiplied on again. Where more outputs are needed than the system has, it is measured with as many controls.

    Args:
        options: See `ProjectorOptions`.
        system: The projector.
        n_classes: Length of the errors.
        n: Length of what comes out.
        generator: Source of its controls.

    Raises:
        RunError: The system has fewer inputs than the error has entries.
    """

    def __init__(
        self, options: ProjectorOptions, system: System, n_classes: int, n: int, generator: torch.Generator
    ) -> None:
        self._run = system.n_in // n_classes
        if self._run == 0:
            raise RunError(
                f"projector {system.name!r} takes {system.n_in} inputs, an error of {n_classes} classes needs as many; "
                "name a larger system"
            )
        self._options, self._system, self._n = options, system, n
        low, high = system.input_range
        bounded = math.isfinite(low) and math.isfinite(high)
        self._middle = (low + high) / 2 if bounded else 0.0
        self._half = options.scale * ((high - low) / 2 if bounded else 1.0)
        self._views = [
            PhysicalLayer(system, controls=torch.rand(system.n_controls, generator=generator)).requires_grad_(False)
            for _ in range(-(-n // system.n_out))
        ]
        self.n_measurements = len(self._views)

    @torch.no_grad()
    def __call__(self, error: Tensor) -> Tensor:
        """See `Projection`; each call is measured."""
        largest = error.abs().amax(-1, keepdim=True)
        shown = error / (largest + torch.finfo(error.dtype).tiny)
        if self._options.encoding == "ternary":
            shown = shown.sign() * (shown.abs() > self._options.threshold)
        size = error.norm(dim=-1, keepdim=True) / (shown.norm(dim=-1, keepdim=True) + torch.finfo(error.dtype).tiny)
        x = self._half * shown.repeat_interleave(self._run, -1)
        x = torch.nn.functional.pad(x, (0, self._system.n_in - x.shape[-1]))
        read = torch.cat([self._read(view, x) for view in self._views], -1)[:, : self._n]
        projected: Tensor = read.to(error.dtype) * size
        return projected

    def _read(self, view: PhysicalLayer, x: Tensor) -> Tensor:
        """Measure shots and reference in one run of the bench."""
        other = torch.zeros_like(x[:1]) if self._options.reference == "zero" else -x
        shown, reference = view(torch.cat([x, other]) + self._middle).split([len(x), len(other)])
        difference: Tensor = shown - reference
        return difference if self._options.reference == "zero" else difference / 2


def projections(
    sizes: Sequence[int], setting: Setting, generator: torch.Generator, projector: ProjectorOptions | None
) -> list[Projection]:
    """Return one fixed projection of the error for each size, digital without a projector.

    Raises:
        RunError: The projector is not on the bench, or too small.
    """
    if projector is None:
        return [RandomProjection(setting.n_classes, n, generator, setting.dtype) for n in sizes]
    system = setting.systems.get(projector.system)
    if system is None:
        raise RunError(
            f"projector {projector.system!r} is no system of the bench; "
            f"there are {', '.join(setting.systems) or 'none'}"
        )
    return [PhysicalProjection(projector, system, setting.n_classes, n, generator) for n in sizes]


def projecting_system(setting: Setting, projector: ProjectorOptions | None) -> tuple[System, ...]:
    """Return the projector's system, for `TrainingMethod.systems`."""
    return () if projector is None else (setting.systems[projector.system],)
