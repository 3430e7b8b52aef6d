"""Twins of phase masks and of echoing waves, beside the benches that they are made for."""

from typing import Any

import pytest
import torch

from pnnlab.errors import TwinError
from pnnlab.nn import interface_of
from pnnlab.systems import System
from pnnlab.twins import DiffractiveTwin, DiffractiveTwinConfig, EchoTwin, EchoTwinConfig, FitConfig, ShotSet, fit
from scripts.setups.wave_benches import diffractive, echo_lattice

PIXELS, SPACE = (4, 4), {"pitch_m": 40e-6, "wavelength_m": 532e-9, "distance_m": 12.5e-3}


def masks(**options: Any) -> tuple[System, DiffractiveTwin]:
    system = diffractive(PIXELS, 2, **options)
    config = DiffractiveTwinConfig(pixels=PIXELS, masks=2, **SPACE)
    return system, DiffractiveTwin(config, interface_of(system), dtype=torch.float64)


def wave(**options: Any) -> tuple[System, EchoTwin]:
    system = echo_lattice((2, 3), 2, steps=10, wiring={"output_slabs": 2, "reach": 2.0}, **options)
    config = EchoTwinConfig(modes=(2, 3), slabs=2)
    return system, EchoTwin(config, interface_of(system), dtype=torch.float64)


def shots(system: System, n: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(n, system.n_in, generator=generator, dtype=torch.float64) - 1
    theta = torch.rand(n, system.n_controls, generator=generator, dtype=torch.float64)
    (drive,) = system.encode(x, theta)
    return drive, torch.from_numpy(system.measure(x.numpy(), theta.numpy()).y)


@pytest.mark.parametrize("make", [masks, wave])
def test_as_designed_it_is_the_perfect_bench(make: Any) -> None:
    system, twin = make()
    drive, y = shots(system)
    torch.testing.assert_close(twin(drive), y, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("make", "off"), [(masks, {"mask_error_rad": 0.3}), (wave, {"detuning_spread": 0.3})])
def test_it_learns_what_its_bench_has_of_its_own(make: Any, off: dict[str, float]) -> None:
    system, twin = make(**off)
    drive, y = shots(system, 300)
    before = float((twin(drive) - y).detach().square().mean())
    fit(twin, ShotSet((drive,), y), FitConfig(epochs=30, learning_rate=0.02))
    assert float((twin(drive) - y).detach().square().mean()) < 0.1 * before


def test_another_number_of_ports_is_refused() -> None:
    with pytest.raises(TwinError, match="make pixels and masks those of the system"):
        DiffractiveTwin(DiffractiveTwinConfig(pixels=(3, 3), masks=2, **SPACE), masks()[1].interface)
    with pytest.raises(TwinError, match="make modes and slabs those of the system"):
        EchoTwin(EchoTwinConfig(modes=(2, 2), slabs=2), wave()[1].interface)
