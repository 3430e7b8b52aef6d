"""Three 64-port meshes of interferometers on one chip, with electro-optic activations between them, for MNIST.

The network of the dual-adaptive-training table (Zheng et al. 2023, Nat. Mach. Intell. 5, 1119; public code
THPCILab/DAT_MPNN): the 8 x 8 lowest spatial frequencies of an image, as complex amplitudes of mean modulus 1, enter a
rectangular mesh, an activation that modulates light by its own power (Williamson et al. 2020, IEEE JSTQE 26, 7700412:
α = 0.1, g = 0.05 π, φ_b = π), another mesh, the activation, a third mesh. The powers at 64 ports, divided by their
Euclidean norm, are read; those of the first ten ports are the classes. A chip deviates from the model by errors of its
beam splitters and phase shifters. Behind the first two meshes the fields can be read.

Shifters lie as in that code: a phase γ on every guide, and then in each interferometer the left coupler, ±θ/2 on its
two arms, the right coupler, φ on the upper guide.
"""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from scipy.sparse import csc_array
from scipy.sparse.linalg import spsolve
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.methods import TrainingMethod, physical_layers
from pnnlab.nn import PhysicalLayer, interface_of
from pnnlab.physics import InterferometerMesh, register_quantity
from pnnlab.systems import ControlRange
from pnnlab.training import Recipe, Task, Trainer, deploy
from pnnlab.twins import Interface, StagedTwin
from scripts.setups._function import FunctionSystem
from scripts.setups._lab import Lab

__all__ = [
    "N_MESHES", "PORTS", "ChipTwin", "Errors", "PushPullMesh", "accuracies", "chip", "read_errors", "read_phases",
    "start_phases",
]  # fmt: skip

PORTS: Final = 64
N_MESHES: Final = 3
ALPHA, GAIN, BIAS = 0.1, 0.05 * math.pi, math.pi


@dataclass(frozen=True)
class Errors:
    """What the meshes of a chip do wrong, each shape `(n_mzis,)` by mesh.

    Attributes:
        left: Imbalance of left couplers.
        right: Imbalance of right couplers.
        theta_rad: Error of inner phases.
        phi_rad: Error of outer phases.
    """

    left: list[Tensor]
    right: list[Tensor]
    theta_rad: list[Tensor]
    phi_rad: list[Tensor]

    @classmethod
    def none(cls) -> "Errors":
        """Return those of a perfect chip."""
        zero = [torch.zeros(InterferometerMesh(PORTS).n_mzis)] * N_MESHES
        return cls(zero, zero, zero, zero)

    @classmethod
    def drawn(cls, seed: int, *, splitters: bool, shifters: bool) -> "Errors":
        """Return normally distributed ones as large as those published, of standard deviation 0.06."""
        generator, n = torch.Generator().manual_seed(seed), InterferometerMesh(PORTS).n_mzis
        left, right, theta, phi = (0.06 * torch.randn(4, N_MESHES, n, generator=generator)).unbind(0)
        zero = cls.none()
        return cls(
            list(left) if splitters else zero.left, list(right) if splitters else zero.right,
            list(theta) if shifters else zero.theta_rad, list(phi) if shifters else zero.phi_rad,
        )  # fmt: skip


def read_errors(folder: Path, *, splitters: bool, shifters: bool) -> Errors:
    """Return the published errors of standard deviation 0.06, of beam splitters, phase shifters, or both."""
    mesh, perfect = InterferometerMesh(PORTS), Errors.none()

    def read(name: str) -> list[Tensor]:
        tables = [torch.from_numpy(np.load(folder / name.format(k))).float() for k in range(N_MESHES)]
        return [mesh.scatter(table) for table in tables]

    return Errors(
        read("bsE0.06_mesh{}_e_l.npy") if splitters else perfect.left,
        read("bsE0.06_mesh{}_e_r.npy") if splitters else perfect.right,
        read("phaseE0.06_mesh{}_theta_errors.npy") if shifters else perfect.theta_rad,
        read("phaseE0.06_mesh{}_phi_errors.npy") if shifters else perfect.phi_rad,
    )


def read_phases(file: Path) -> Tensor:
    """Return phases in turns, shape `(3, n_phases)`, of a file of weights of the source's code (`train.pth`)."""
    tables = torch.load(file, map_location="cpu", weights_only=True)
    scatter = InterferometerMesh(PORTS).scatter
    rows = [
        torch.cat(
            [
                scatter(tables[f"RM_block{k}.theta"]),
                scatter(tables[f"RM_block{k}.phi"]),
                tables[f"RM_block{k}.gamma"][0],
            ]
        )
        for k in range(N_MESHES)
    ]
    return torch.stack(rows).float() / (2 * math.pi)


class PushPullMesh(nn.Module):
    """A rectangular mesh with shifters as in the source's code, see above.

    A phase that two guides have in common passes an interferometer, so each θ, φ and γ is as good as other phases of a
    mesh whose θ and φ are on the upper arm and before the left coupler; what turns the ones into the others is linear,
    but for a quarter turn of light on the outermost guides, in columns that have no interferometer there.

    Args:
        left_imbalance: As in `InterferometerMesh`.
        right_imbalance: The same.
        error_rad: Added to each phase, shape `(n_phases,)`: every θ, every φ, then the γ.

    Without arguments it is perfect.
    """

    turning: Tensor
    constant_rad: Tensor
    error_rad: Tensor

    def __init__(
        self,
        left_imbalance: Tensor | float = 0.0,
        right_imbalance: Tensor | float = 0.0,
        error_rad: Tensor | float = 0.0,
    ) -> None:
        super().__init__()
        self.mesh = InterferometerMesh(PORTS, left_imbalance=left_imbalance, right_imbalance=right_imbalance)
        register_quantity(self, "error_rad", error_rad, shape=(self.mesh.n_phases,))
        turning, constant_rad = _turning()
        self.register_buffer("turning", turning)
        self.register_buffer("constant_rad", constant_rad)

    def forward(self, field: Tensor, phases: Tensor) -> Tensor:
        """Return the fields that come out, shape `(..., n)`, of phases in rad, shape `(n_phases,)`."""
        out: Tensor = self.mesh(field, self.single_sided(phases + self.error_rad))
        return out

    def single_sided(self, phases: Tensor) -> Tensor:
        """Return the phases of `mesh` that do the same."""
        turned: Tensor = torch.sparse.mm(self.turning, phases[:, None])[:, 0] + self.constant_rad
        return turned

    def two_sided(self, phases: Tensor) -> Tensor:
        """Return the phases with which it does what `mesh` does with these, shape `(n_phases,)`."""
        turning = self.turning.coalesce()
        matrix = csc_array((turning.values().numpy(), turning.indices().numpy()), dtype=np.float64)
        return torch.from_numpy(spsolve(matrix, (phases - self.constant_rad).double().numpy()))


@cache
def _turning() -> tuple[Tensor, Tensor]:
    """Return what turns phases as in the source into those of a mesh: a sparse matrix, and what is added, in rad."""
    mesh = InterferometerMesh(PORTS)
    n, n_phases = mesh.n_mzis, mesh.n_phases
    unit = torch.eye(n_phases, n_phases + 1)  # the last column is for what is added
    turned = torch.zeros_like(unit)
    turned[:n] = unit[:n]
    carried = unit[2 * n :].clone()  # the phase that light on each guide still lacks
    column = 0
    for k, (at, upper) in enumerate(mesh.places):
        if at != column and at % 2:
            carried[0, -1] -= math.pi / 2
            carried[-1, -1] -= math.pi / 2
        column = at
        turned[n + k] = carried[upper] - carried[upper + 1]
        common = carried[upper + 1] - unit[k] / 2
        carried[upper], carried[upper + 1] = common + unit[n + k], common
    turned[2 * n :] = carried
    return turned[:, :-1].to_sparse(), turned[:, -1]


def meshes(errors: Errors) -> nn.ModuleList:
    """Return the three meshes with their errors."""
    nothing = torch.zeros(PORTS)
    return nn.ModuleList(
        PushPullMesh(
            errors.left[k], errors.right[k], torch.cat([errors.theta_rad[k], errors.phi_rad[k], nothing])
        )
        for k in range(N_MESHES)
    )  # fmt: skip


def activation(field: Tensor) -> Tensor:
    """Return `√(1-α) e^{-i(g|z|² + φ_b)/2} cos((g|z|² + φ_b)/2) z`, element by element."""
    phase = 0.5 * GAIN * (field.real.square() + field.imag.square()) + 0.5 * BIAS
    turned: Tensor = math.sqrt(1 - ALPHA) * phase.cos() * torch.polar(torch.ones_like(phase), -phase) * field
    return turned


def propagated(stage: int, mesh: nn.Module, before: Tensor, turns: Tensor) -> Tensor:
    """Return the field behind a mesh; before the second and the third one the activation comes."""
    field: Tensor = mesh(before if stage == 0 else activation(before), 2 * math.pi * turns)
    return field


def power(field: Tensor) -> Tensor:
    """Return the powers over the norm of all of them."""
    return nn.functional.normalize(field.real.square() + field.imag.square(), dim=-1)


class Chip(nn.Module):
    """The chip as it really is: phases in turns, shape `(3, n_phases)`; inputs are real parts, then imaginary ones."""

    def __init__(self, errors: Errors) -> None:
        super().__init__()
        self.meshes = meshes(errors)

    def forward(self, x: Tensor, theta: Tensor, noise: torch.Generator | None) -> tuple[Tensor, ...]:
        """See `scripts.setups.Physics`; fields behind the first two meshes are read as real and imaginary parts."""
        field, inside = torch.complex(*x.split(PORTS, -1)), []
        for stage, mesh in enumerate(self.meshes):
            field = propagated(stage, mesh, field, theta[stage])
            inside.append(torch.view_as_real(field))
        return (*inside[:-1], power(field))


class OpaqueChip(nn.Module):
    """A chip whose inside cannot be read."""

    def __init__(self, errors: Errors) -> None:
        super().__init__()
        self.chip = Chip(errors)

    def forward(self, x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        """See `scripts.setups.Physics`."""
        outputs: Tensor = self.chip(x, theta, noise)[-1]
        return outputs


class ChipTwin(StagedTwin):
    """The chip without errors; a state is the field behind a mesh.

    Args:
        interface: Of the chip.
    """

    n_stages = N_MESHES

    def __init__(self, interface: Interface) -> None:
        super().__init__(interface)
        self.meshes = meshes(Errors.none())

    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.advance`."""
        x, turns = drive
        before = torch.complex(*x.split(PORTS, -1)) if state is None else state
        return propagated(stage, self.meshes[stage], before, turns[stage])

    def reading(self, stage: int, state: Tensor) -> Tensor:
        """See `DigitalTwin.reading`."""
        return power(state) if stage == N_MESHES - 1 else torch.view_as_real(state)

    def anchored(self, stage: int, state: Tensor, reading: Tensor) -> Tensor:
        """See `DigitalTwin.anchored`; of the outputs the powers are known, up to their norm, and the phases are not."""
        if stage < N_MESHES - 1:
            return torch.view_as_complex(reading.contiguous())
        size = (state.real.square() + state.imag.square()).norm(dim=-1, keepdim=True)
        field: Tensor = (reading * size).sqrt() * state.sgn()
        return field


class Frequencies(nn.Module):
    """The 8 x 8 lowest spatial frequencies of an image as amplitudes of mean modulus 1."""

    def forward(self, images: Tensor) -> Tensor:
        """Return real parts, then imaginary ones, shape `(batch, 128)`, of shape `(batch, 784)`."""
        middle = torch.fft.fftshift(torch.fft.fft2(images.unflatten(-1, (28, 28))), dim=(-2, -1))[:, 10:18, 10:18]
        field = middle.flatten(1)
        field = field / field.abs().mean(1, keepdim=True)
        return torch.cat([field.real, field.imag], 1)


class FirstTen(nn.Module):
    """The ports that are the classes."""

    def forward(self, powers: Tensor) -> Tensor:
        """Return shape `(batch, 10)` of shape `(batch, 64)`."""
        return powers[:, :10]


def start_phases(seed: int) -> Tensor:
    """Return phases in turns, shape `(3, n_phases)`, of unitary matrices drawn evenly (Haar's measure)."""
    mesh, generator, drawn = PushPullMesh(), torch.Generator().manual_seed(seed), []
    for _ in range(N_MESHES):
        gauss = torch.randn(PORTS, PORTS, dtype=torch.complex128, generator=generator)
        q, r = torch.linalg.qr(gauss)
        drawn.append(mesh.two_sided(mesh.mesh.program(q * r.diagonal().sgn())))
    return torch.stack(drawn).float() / (2 * math.pi)


def chip(errors: Errors, start: Tensor, *, read_inside: bool, seed: int = 0) -> tuple[nn.Sequential, Lab]:
    """Return the network on a chip, and its bench."""
    n_phases, clock = InterferometerMesh(PORTS).n_phases, SimulatedClock()
    system = FunctionSystem(
        Chip(errors) if read_inside else OpaqueChip(errors), (2 * PORTS, N_MESHES * n_phases, PORTS),
        control_range=ControlRange.PERIODIC, setting=(N_MESHES, n_phases), shares_controls=True,
        state_shapes=((PORTS, 2),) * (N_MESHES - 1) if read_inside else (), seed=seed, name="chip", clock=clock,
    )  # fmt: skip
    twin = ChipTwin(interface_of(system))
    layer = PhysicalLayer(system, twin, controls=start.flatten())
    return nn.Sequential(Frequencies(), layer, FirstTen()), Lab([system], clock)


def accuracies(
    errors: Errors, method: TrainingMethod, task: Task, start: Tensor, *, epochs: int, batch: int,
    learning_rate_rad: float, read_inside: bool = False,
) -> tuple[float, Tensor]:  # fmt: skip
    """Train by a method; return the test accuracy on the chip, and the phases in turns."""
    model, lab = chip(errors, start, read_inside=read_inside)
    recipe = Recipe.model_validate(
        {
            "network": {"layers": ["chip"]}, "method": method.name, "epochs": epochs, "batch": batch,
            "learning_rate": learning_rate_rad / (2 * math.pi), "schedule": "cosine",
        }
    )  # fmt: skip
    trainer = Trainer(model, method, task, recipe, bench=lab)
    trainer.run()
    score = deploy(model, task.test, method=method)
    (layer,) = physical_layers(model)
    return score.accuracy, layer.raw_controls.detach().reshape(start.shape)
