"""Fields of light that the tests of propagation share."""

import math

import torch
from torch import Tensor

from pnnlab.physics import AngularSpectrum

PITCH_M, WAVELENGTH_M = 8e-6, 532e-9


def space(n: int, distance_m: Tensor | float, **options: object) -> AngularSpectrum:
    return AngularSpectrum((n, n), pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, distance_m=distance_m, **options)


def axis(n: int) -> Tensor:
    return (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * PITCH_M


def gaussian_beam(n: int, waist_m: float, z: float, centre_m: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Return the paraxial fundamental mode (Saleh and Teich, Fundamentals of Photonics, section 3.1)."""
    y, x = axis(n)[:, None] - centre_m[0], axis(n) - centre_m[1]
    k, rayleigh_m = 2 * math.pi / WAVELENGTH_M, math.pi * waist_m**2 / WAVELENGTH_M
    radius_m = waist_m * math.sqrt(1 + (z / rayleigh_m) ** 2)
    curvature = z / (z**2 + rayleigh_m**2)
    r2 = y.square() + x.square()
    phase = k * z + k * r2 * curvature / 2 - math.atan2(z, rayleigh_m)
    return torch.polar(waist_m / radius_m * torch.exp(-r2 / radius_m**2), phase)


def blocks(n: int, block: int, waist_px: float = math.inf, seed: int = 0) -> Tensor:
    """Return random phase blocks under a Gaussian beam."""
    generator = torch.Generator().manual_seed(seed)
    phase = 2 * math.pi * torch.rand(n // block, n // block, generator=generator, dtype=torch.float64)
    phase = phase.repeat_interleave(block, 0).repeat_interleave(block, 1)
    r = axis(n) / PITCH_M
    return torch.polar(torch.exp(-(r[:, None] ** 2 + r**2) / waist_px**2), phase)


def waves(n: int, waist_px: float) -> Tensor:
    """Return smooth phases, without any symmetry, under a Gaussian beam that fades inside the window."""
    y, x = axis(n)[:, None] / PITCH_M, axis(n) / PITCH_M
    beam = torch.exp(-((y - 1.5) ** 2 + (x + 2.0) ** 2) / waist_px**2)
    return torch.polar(beam, 1.5 * torch.sin(y / 5) + torch.cos(x / 4 + y / 9))


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())
