"""A medium that drifts: its field decorrelates as declared, and the same bench time gives the same medium."""

import math

import pytest
import torch

from pnnlab.physics import PhaseScreens, TransmissionMatrix
from pnnlab_drivers.sim._aging import AgingMedium


def matrix_medium() -> TransmissionMatrix:
    return TransmissionMatrix.random((16, 16), (16, 16), generator=torch.Generator().manual_seed(1))


def screens_medium() -> PhaseScreens:
    return PhaseScreens.random(
        (32, 32), rms_phase_rad=0.8, correlation_m=30e-6, pitch_m=8e-6, wavelength_m=532e-9,
        distances_m=[1e-3, 1e-3], generator=torch.Generator().manual_seed(1),
    )  # fmt: skip


@pytest.mark.parametrize("age", [0.01, 0.3, 1.0, 3.0])
def test_the_fields_correlation_falls_exponentially(age: float) -> None:
    aging = AgingMedium(matrix_medium(), 1 / 50.0, 10.0, torch.Generator().manual_seed(2))
    fresh, old = (aging.at(10.0 + 50.0 * time) for time in (0.0, age))
    assert isinstance(fresh, TransmissionMatrix) and isinstance(old, TransmissionMatrix)
    inner = torch.vdot(fresh.matrix.flatten(), old.matrix.flatten()) / (fresh.matrix.norm() * old.matrix.norm())
    # two specimens of 65536 elements correlate by 1/256 by chance, and ages go in steps
    assert float(inner.abs()) == pytest.approx(math.exp(-age), abs=0.012)
    assert float(old.matrix.norm()) == pytest.approx(float(fresh.matrix.norm()), rel=0.01)


def test_screens_age_and_a_medium_that_was_handed_out_stays() -> None:
    aging = AgingMedium(screens_medium(), 1.0, 0.0, torch.Generator().manual_seed(2))
    early = aging.at(0.5)
    assert isinstance(early, PhaseScreens)
    kept = early.screens_rad.clone()
    late = aging.at(1.5)
    assert isinstance(late, PhaseScreens) and not torch.allclose(late.screens_rad, kept)
    assert torch.equal(early.screens_rad, kept)
    again = aging.at(0.5)
    assert isinstance(again, PhaseScreens) and torch.equal(again.screens_rad, kept)


def test_without_a_rate_it_is_one_medium_for_ever() -> None:
    medium = matrix_medium()
    aging = AgingMedium(medium, 0.0, 0.0, torch.Generator())
    assert aging.at(0.0) is medium and aging.at(1e9) is medium
