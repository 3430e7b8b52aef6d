"""Search of the phases at which two meshes have wanted bases, by measuring alone."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from pnnlab.physics import SvdMesh
from pnnlab.systems import CarriesFields, FloatArray, Side

__all__ = ["Bases", "BasisSearch"]

ComplexArray = npt.NDArray[np.complexfloating]

_SETTINGS: Final = 3
"""Of a phase, evenly over a turn: a quantity that follows it as a cosine is known from them."""


@dataclass(frozen=True)
class Bases:
    """What a chip is asked for, or has.

    Attributes:
        first: V, shape `(n, n)`.
        values: s, shape `(n,)`.
        last: U, shape `(n, n)`.
    """

    first: ComplexArray
    values: FloatArray
    last: ComplexArray

    @classmethod
    def of(cls, design: SvdMesh, turns: FloatArray) -> "Bases":
        """Return those that a design has at controls in turns."""
        with torch.no_grad():
            phases = design.split(2 * math.pi * torch.from_numpy(np.asarray(turns, np.float64)))
            first, last = design.first.matrix(phases[0]), design.last.matrix(phases[2])
        return cls(first.numpy(), phases[1].cos().numpy(), last.numpy())

    @property
    def matrix(self) -> ComplexArray:
        """Return W."""
        product: ComplexArray = (self.last * self.values) @ self.first
        return product


class BasisSearch:
    """Phases of a chip with two meshes are searched for one by one, by zeroth order: nothing is known of the chip.

    The agreement `Re tr(T† M)` of a mesh M with its target T follows each phase as a cosine, so three settings tell
    where it is best. One phase of each mesh is moved at a time, and light from either side tells both meshes' matrices
    in the fields between them.

    Args:
        chip: The system; its controls are the phases of V, of attenuators, and of U, in turns.
        generator: Draws the order of phases.
    """

    def __init__(self, chip: CarriesFields, generator: torch.Generator) -> None:
        self._chip, self._generator, self.n = chip, generator, chip.n_ports

    def improve(self, turns: FloatArray, target: Bases, *, sweeps: int) -> FloatArray:
        """Return phases at which both meshes are nearer to a target, shape `(n_controls,)`.

        Args:
            turns: To begin with, same shape.
            target: Whose bases are wanted.
            sweeps: How often each phase is moved.
        """
        turns, each = turns.copy(), self.n**2
        for _ in range(sweeps):
            for k in torch.randperm(each, generator=self._generator).tolist():
                moved = [k, each + self.n + k]
                tried = np.repeat(turns[None], _SETTINGS, 0)
                tried[:, moved] += np.arange(_SETTINGS)[:, None] / _SETTINGS
                firsts, lasts = self.measured(tried)
                for at, found, wanted in zip(moved, (firsts, lasts), (target.first, target.last), strict=True):
                    turns[at] -= _crest(np.einsum("ij,kij->k", wanted.conj(), found).real)[0]
        return turns

    def attenuators(self, turns: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return by how many turns attenuators are off, and their largest amplitude, shape `(n,)` each."""
        tried = np.repeat(turns[None], _SETTINGS, 0)
        middle = slice(self.n**2, self.n**2 + self.n)
        tried[:, middle] = np.arange(_SETTINGS)[:, None] / _SETTINGS
        values = np.stack([self.values(setting) for setting in tried])
        crests = [_crest(values[:, k]) for k in range(self.n)]
        return np.array([off for off, _ in crests]), np.array([height for _, height in crests])

    def values(self, turns: FloatArray, wanted: ComplexArray | None = None) -> FloatArray:
        """Return `Re diag(U⁺ W V⁺)` for the bases as they are, shape `(n,)`: the best singular values for W.

        Args:
            turns: Controls, shape `(n_controls,)`.
            wanted: W, shape `(n, n)`; what the chip has if `None`, which tells its own.
        """
        firsts, lasts = self.measured(turns[None])
        matrix = self._through(turns[None])[0] if wanted is None else wanted
        best: FloatArray = np.diagonal(np.linalg.pinv(lasts[0]) @ matrix @ np.linalg.pinv(firsts[0])).real
        return best

    def measured(self, turns: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """Return V and U at settings of all phases, shape `(k, n, n)` each, for settings `(k, n_controls)`."""
        firsts = self._sent(turns, Side.IN).inside
        lasts = self._sent(turns, Side.OUT).inside
        shape = (len(turns), self.n, self.n)
        first: Any = np.asarray(firsts).reshape(shape).transpose(0, 2, 1)
        last: Any = np.asarray(lasts).reshape(shape)
        return first, last

    def _through(self, turns: FloatArray) -> ComplexArray:
        """Return the whole matrix, shape `(k, n, n)`."""
        out: Any = np.asarray(self._sent(turns, Side.IN).out)
        whole: ComplexArray = out.reshape(len(turns), self.n, self.n).transpose(0, 2, 1)
        return whole

    def _sent(self, turns: FloatArray, side: Side) -> Any:
        """Send light into one port after the other."""
        ports = np.tile(np.eye(self.n, dtype=np.complex128), (len(turns), 1))
        return self._chip.send(ports, np.repeat(turns, self.n, 0), side=side)


def _crest(heights: FloatArray) -> tuple[float, float]:
    """Return for how many turns a cosine has passed its crest at the first of three settings, and how high that is."""
    angles = 2 * np.pi * np.arange(_SETTINGS) / _SETTINGS
    wave = complex((heights * np.exp(-1j * angles)).sum())
    return float(np.angle(wave)) / (2 * math.pi), 2 * abs(wave) / _SETTINGS
