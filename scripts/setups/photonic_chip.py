"""Three 64-port meshes of interferometers on one chip, with electro-optic activations between them, for MNIST.

The network of the dual-adaptive-training table (Zheng et al. 2023, Nat. Mach. Intell. 5, 1119; public code
THPCILab/DAT_MPNN): the 8 x 8 lowest spatial frequencies of an image, as complex amplitudes of mean modulus 1, enter a
rectangular mesh, an activation that modulates light by its own power (Williamson et al. 2020, IEEE JSTQE 26, 7700412:
α = 0.1, g = 0.05 π, φ_b = π), another mesh, the activation, a third mesh. The powers at 64 ports, divided by their
Euclidean norm, are read; those of the first ten ports are the classes. A chip deviates from the model by errors of its
beam splitters and phase shifters. Behind the first two meshes the fields can be read.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.methods import TrainingMethod, physical_layers
from pnnlab.nn import PhysicalLayer, interface_of
from pnnlab.physics import InterferometerMesh
from pnnlab.systems import ControlRange
from pnnlab.training import Recipe, Task, Trainer, deploy
from pnnlab.twins import Interface, StagedTwin
from scripts.setups._function import FunctionSystem
from scripts.setups._lab import Lab

__all__ = ["N_MESHES", "PORTS", "ChipTwin", "Errors", "accuracies", "chip", "read_errors", "start_phases"]

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


def meshes(errors: Errors) -> nn.ModuleList:
    """Return the three meshes with their errors."""
    nothing = torch.zeros(PORTS)
    return nn.ModuleList(
        InterferometerMesh(
            PORTS, left_imbalance=errors.left[k], right_imbalance=errors.right[k],
            phase_error_rad=torch.cat([errors.theta_rad[k], errors.phi_rad[k], nothing]),
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
    mesh, generator = InterferometerMesh(PORTS), torch.Generator().manual_seed(seed)
    drawn = []
    for _ in range(N_MESHES):
        gauss = torch.randn(PORTS, PORTS, dtype=torch.complex128, generator=generator)
        q, r = torch.linalg.qr(gauss)
        drawn.append(mesh.program(q * r.diagonal().sgn()))
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
