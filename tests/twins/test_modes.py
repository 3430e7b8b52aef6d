"""The twin of coupled modes is the design, learns what a chip has of its own, and needs the right channels."""

import pytest
import torch
from torch import Tensor

from pnnlab.errors import TwinError
from pnnlab.nn import interface_of
from pnnlab.systems import ModeNetwork
from pnnlab.twins import FitConfig, ModesTwinConfig, ShotSet, fit, make_twin
from scripts.setups.coupled_modes import kerr_modes, resonators

DESIGN = {"modes": 12, "seed": 0, "static_coupling_hz": 0.5e6, "static_detuning_hz": 1e6}


def drives(system: ModeNetwork, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(n, system.n_in, generator=generator, dtype=torch.float64) - 1
    theta = torch.rand(n, system.n_controls, generator=generator, dtype=torch.float64)
    drive: Tensor = system.encode(x, theta)[0]
    return drive


def test_as_designed_it_is_the_chip_that_has_no_mismatch() -> None:
    system = resonators()
    twin = make_twin(ModesTwinConfig.model_validate(DESIGN), interface_of(system), dtype=torch.float64)
    drive = drives(system, 4)
    torch.testing.assert_close(twin(drive), system.expected(drive))
    kerr = kerr_modes(kerr=0.1)
    design = {"modes": 10, "internal_hz": 0.0, "static_coupling_hz": 0.4e6 / 2**0.5, "kerr_hz": 0.1e6}
    nonlinear = make_twin(ModesTwinConfig.model_validate(design), interface_of(kerr), dtype=torch.float64)
    torch.testing.assert_close(nonlinear(drives(kerr, 2)), kerr.expected(drives(kerr, 2)), rtol=1e-6, atol=1e-8)


def test_it_learns_what_a_chip_has_of_its_own() -> None:
    system = resonators(plant={"detuning_spread_hz": 2e5, "gain_spread": 0.03, "nonreciprocity": 0.03})
    twin = make_twin(ModesTwinConfig.model_validate(DESIGN), interface_of(system), dtype=torch.float64)
    drive = drives(system, 160)
    truth = system.expected(drive).detach()

    def off() -> float:
        with torch.no_grad():
            return float((twin(drive) - truth).square().mean())

    before = off()
    fit(twin, ShotSet((drive,), truth), FitConfig(epochs=12, batch=16, learning_rate=0.01))
    assert off() < 0.02 * before


def test_other_channels_than_those_of_the_system_are_refused() -> None:
    with pytest.raises(TwinError, match="3 modes with 3 couplings have 12 channels"):
        make_twin(ModesTwinConfig(modes=3), interface_of(resonators()))
