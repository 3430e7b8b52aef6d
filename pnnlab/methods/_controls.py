"""A model's trained numbers as one vector, and many settings of it measured at once."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from pnnlab.errors import RunError
from pnnlab.methods._method import LossFunction, physical_layers
from pnnlab.nn import ForwardRule, run_in_flight
from pnnlab.systems import ControlRange
from pnnlab.twins import DigitalTwin

__all__ = ["RAW_PER_CONTROL", "ControlVector", "trained_parameters"]

T = TypeVar("T")
RAW_PER_CONTROL: Final = 4.0
"""Logits of a bounded control per part of its range, at mid-range: the slope of the logistic function is 1/4 there."""
_MOST_SHOTS: Final = 4096
"""Shots that are handed in as one run, so that a population fits into the host's memory."""


def trained_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that training changes: all but those of twins, and those that need no gradient."""
    twins = {id(p) for module in model.modules() if isinstance(module, DigitalTwin) for p in module.parameters()}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in twins]


class ControlVector:
    """The trained numbers of a model, physical and digital, as one vector z; the model as a black box of z.

    z is in control units: turns of phase where controls are periodic, parts of the range (at mid-range) where they are
    bounded, and digital parameters as they are. So one size of a perturbation suits every bench.

    With `groups`, z is short: each trained number belongs to one group, drawn at random with a random sign, and moves
    with it, away from where the model began. Training then stays in a random subspace of so many dimensions: cheaper by
    far for methods whose cost grows with the number of controls, and able to reach what that subspace holds only.

    Args:
        model: With physical layers.
        groups: Number of groups; `None` lets each number move alone.
        generator: Draws the groups.

    Raises:
        RunError: There are fewer trained numbers than groups.

    Attributes:
        n: Length of z.
        n_layers: Measurements of a forward pass.
        dtype: Floating type of z.
        ranges: How each trained number stays legal, one entry a number; `None` for digital ones.
        is_grouped: Whether z is shorter than the trained numbers.
    """

    def __init__(self, model: nn.Module, *, groups: int | None = None, generator: torch.Generator) -> None:
        self._model = model
        self._parameters = trained_parameters(model)
        self._sizes = [p.numel() for p in self._parameters]
        total = sum(self._sizes)
        legal = {id(layer.raw_controls): layer.system.control_range for layer in physical_layers(model)}
        self.ranges = [
            legal.get(id(p)) for p, size in zip(self._parameters, self._sizes, strict=True) for _ in range(size)
        ]
        self.is_grouped = groups is not None
        self.dtype = torch.float64 if any(p.dtype == torch.float64 for p in self._parameters) else torch.float32
        units = [RAW_PER_CONTROL if kind is ControlRange.BOUNDED else 1.0 for kind in self.ranges]
        self._unit = torch.tensor(units, dtype=self.dtype)
        self.n_layers = sum(layer.rule is ForwardRule.MEASURED for layer in physical_layers(model))
        self._group: Tensor | None = None
        self.n = total
        if groups is not None:
            if groups > total:
                raise RunError(
                    f"`groups` is {groups}, but the model has {total} trained numbers; choose at most {total}, or null"
                )
            self.n = groups
            # every group has a member, and sizes differ by one at most
            self._group = torch.arange(total).remainder(groups)[torch.randperm(total, generator=generator)]
            self._sign = torch.randint(2, (total,), generator=generator).to(self.dtype) * 2 - 1
            self._origin = self._all()

    def belonging_to(self, parameter: nn.Parameter) -> Tensor:
        """Return where in z the numbers of a parameter stand, where nothing is grouped."""
        (which,) = (k for k, one in enumerate(self._parameters) if one is parameter)
        begin = sum(self._sizes[:which])
        return torch.arange(begin, begin + self._sizes[which])

    def read(self) -> Tensor:
        """Return z as the model has it, shape `(n,)`."""
        z = self._all()
        return z if self._group is None else self._gathered(z - self._origin) / self._members

    def write(self, z: Tensor) -> None:
        """Give the model the numbers z, shape `(n,)`."""
        with torch.no_grad():
            for parameter, values in zip(self._parameters, self._values(z[None]), strict=True):
                parameter.copy_(values[0])

    def write_gradient(self, gradient: Tensor) -> None:
        """Leave the gradient of z, shape `(n,)`, with the parameters, for an optimiser."""
        full = gradient.to(self.dtype)
        if self._group is not None:
            # all numbers of a group get the same size of gradient, so that they move together
            full = (full / self._members)[self._group] * self._sign
        for parameter, part in zip(self._parameters, (full / self._unit).split(self._sizes), strict=True):
            parameter.grad = part.reshape(parameter.shape).to(parameter.dtype)

    def directions(self, directions: Tensor) -> list[dict[str, Tensor]]:
        """Return directions of z, shape `(k, n)`, as directions of the model's parameters, by their names."""
        names = {id(parameter): name for name, parameter in self._model.named_parameters()}
        z = directions.to(self.dtype)
        spread = self._parts(z if self._group is None else z[:, self._group] * self._sign)
        named = [names[id(parameter)] for parameter in self._parameters]
        return [dict(zip(named, parts, strict=True)) for parts in zip(*spread, strict=True)]

    def losses(
        self, candidates: Tensor, x: Tensor, target: Tensor, loss: LossFunction, *, micro_batch: int | None = None,
        repeats: int = 1,
    ) -> Tensor:  # fmt: skip
        """Measure the loss of settings of z on one batch.

        All settings are one run of the bench a layer, where systems take controls a sample; where a batch must share
        its controls, one run each.

        Args:
            candidates: Settings, shape `(k, n)`.
            x: Inputs, shape `(batch, n_in)`.
            target: What the loss compares with, batch first.
            loss: A mean over the batch.
            micro_batch: Samples that the host works on while the bench measures others; hands in all at once if `None`.
            repeats: How often each is measured; the mean is returned.

        Returns:
            Losses, shape `(k,)`, in double precision.
        """
        size = len(x) if micro_batch is None else min(micro_batch * len(candidates), len(x))
        cases = [
            (k, inputs, targets)
            for k in range(len(candidates))
            for _ in range(repeats)
            for inputs, targets in zip(x.split(size), target.split(size), strict=True)
        ]

        def weighed(inputs: Tensor, targets: Tensor) -> float:
            return float(loss(self._model(inputs), targets)) * len(inputs) / len(x)

        found = self.measured(candidates, cases, weighed, at_once=micro_batch is None)
        return torch.tensor(found, dtype=torch.float64).reshape(len(candidates), -1).sum(1) / repeats

    @torch.no_grad()
    def measured(
        self, candidates: Tensor, cases: Sequence[tuple[int, Tensor, Tensor]], work: Callable[[Tensor, Tensor], T], *,
        at_once: bool = True,
    ) -> list[T]:  # fmt: skip
        """Do some work with the model under several settings of z; results in the order of the cases.

        Args:
            candidates: Settings, shape `(k, n)`.
            cases: Number of a setting, and inputs and targets for the work.
            work: Calls the model; it may record gradients where it switches them on.
            at_once: See `run_in_flight`.
        """
        rows = self._values(candidates)
        kept = [p.data for p in self._parameters]
        results: list[T] = []

        def lend(first: int, case: int) -> None:
            for parameter, values in zip(self._parameters, rows, strict=True):
                parameter.data = values[cases[first + case][0]]

        try:
            for first, last in _runs([len(x) for _, x, _ in cases]):
                works = [partial(work, x, target) for _, x, target in cases[first:last]]
                results += run_in_flight(
                    works, n_measurements=self.n_layers, before=partial(lend, first), at_once=at_once
                )
        finally:
            for parameter, data in zip(self._parameters, kept, strict=True):
                parameter.data = data
        return results

    def state(self) -> dict[str, Any]:
        """Return what z is counted from."""
        return {} if self._group is None else {"group": self._group, "sign": self._sign, "origin": self._origin}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        if self._group is not None:
            self._group, self._sign, self._origin = state["group"], state["sign"], state["origin"]

    @property
    def _members(self) -> Tensor:
        assert self._group is not None  # noqa: S101 (asked with groups only)
        return torch.bincount(self._group, minlength=self.n).to(self.dtype)

    def _gathered(self, full: Tensor) -> Tensor:
        assert self._group is not None  # noqa: S101 (asked with groups only)
        return torch.zeros(self.n, dtype=self.dtype).index_add(0, self._group, full * self._sign)

    def _all(self) -> Tensor:
        flat = torch.cat([p.detach().reshape(-1).to(self.dtype) for p in self._parameters])
        return flat / self._unit

    def _values(self, candidates: Tensor) -> list[Tensor]:
        """Return each parameter's values under each setting, shape `(k, *parameter.shape)`."""
        z = candidates.detach().to(self.dtype)
        if self._group is not None:
            z = self._origin + z[:, self._group] * self._sign
        return self._parts(z)

    def _parts(self, z: Tensor) -> list[Tensor]:
        """Return rows of all trained numbers, shape `(k, total)`, as each parameter has them."""
        return [
            part.reshape(-1, *parameter.shape).to(parameter.dtype)
            for parameter, part in zip(self._parameters, (z * self._unit).split(self._sizes, 1), strict=True)
        ]


def _runs(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Cut cases of so many shots each into runs of at most `_MOST_SHOTS`; a larger case is a run of its own."""
    edges, shots = [0], 0
    for number, size in enumerate(sizes):
        if shots and shots + size > _MOST_SHOTS:
            edges.append(number)
            shots = 0
        shots += size
    return list(zip(edges, [*edges[1:], len(sizes)], strict=True))
