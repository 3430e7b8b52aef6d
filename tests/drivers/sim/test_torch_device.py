"""A simulated system that stays where it computes: no step of the tensor path asks for a number on the host."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from pnnlab.devices import RegionOfInterest
from pnnlab.errors import DeviceError
from tests.benches import OpticalBench

TO_HOST = {"cpu", "numpy", "item", "tolist", "__array__", "__bool__", "__float__", "__int__", "__index__"}
SCREENS = {
    "kind": "phase-screens", "screens": 2, "distance_m": 1e-4, "strength_rad": 1.0, "correlation_m": 4e-5,
    "wavelength_m": 532e-9,
}  # fmt: skip


class _Calls(TorchFunctionMode):
    """Notes which functions are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    """Notes which operations are carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names.add(str(func))
        return func(*args, **(kwargs or {}))


def trips_to_host(run: Callable[[], object]) -> set[str]:
    """Return what of a run needs a tensor's numbers on the host."""
    with _Calls() as calls, _Operations() as operations:
        run()
    return (calls.names & TO_HOST) | {name for name in operations.names if "_local_scalar_dense" in name}


def simulated(bench: OpticalBench, theta: Tensor) -> Tensor:
    system = bench.optics
    (levels,) = system.to_setpoints(*system.encode(torch.zeros(3, system.n_in), theta))
    return system.decode(bench.sensor.simulate(levels))


@pytest.mark.parametrize("medium", [None, SCREENS])
def test_a_simulated_shot_stays_on_its_device(medium: dict[str, Any] | None) -> None:
    # without faint pixels: a Poisson generator that is only asked for some of them must know how many, on a CPU
    bench = OpticalBench(table={"photons_per_pixel_s": 1e7} | ({} if medium is None else {"medium": medium}))
    theta = torch.rand(bench.optics.n_controls)
    simulated(bench, theta)
    assert not trips_to_host(lambda: simulated(bench, theta))
    assert not trips_to_host(lambda: bench.optics.expected(*bench.optics.encode(torch.zeros(3, 64), theta)))


def test_a_trip_to_the_host_would_be_seen() -> None:
    x = torch.rand(3)
    assert trips_to_host(lambda: x.sum().item()) >= {"item"}
    assert trips_to_host(lambda: bool(x.sum() > 0))
    assert trips_to_host(lambda: x.cpu()) == {"cpu"}


def test_simulated_frames_are_those_that_are_read() -> None:
    bench = OpticalBench()
    levels = np.random.default_rng(0).integers(0, 256, (1, 8, 8))
    pattern = torch.from_numpy(levels)
    frames = bench.sensor.simulate(pattern.expand(4000, 8, 8))
    assert frames.shape == (4000, 8, 8) and bool((frames == frames.round()).all())
    due = bench.sensor.expected(pattern.double())[0]
    # counts are gain times Poisson electrons, and a whole number: their mean is known to sqrt(variance / 4000)
    variance = 0.17 * due + 1 / 12
    apart = (frames.double().mean(0) - due) / (variance / 4000).sqrt()
    assert float(apart.abs().max()) < 5 and 0.6 < float(apart.std()) < 1.4
    spread = frames.double().var(0) / variance
    # a variance of 4000 numbers is right to 2.2 %
    assert float((spread - 1).abs().max()) < 5 * 0.0224


def test_the_region_of_interest_is_cut_out() -> None:
    bench = OpticalBench(camera={"noise": 0.0, "quantised": False})
    whole = bench.sensor.simulate(torch.full((1, 8, 8), 7))
    bench.sensor.configure(roi=RegionOfInterest(2, 1, 3, 5))
    np.testing.assert_array_equal(bench.sensor.simulate(torch.full((1, 8, 8), 7)), whole[:, 2:5, 1:6])


def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(DeviceError, match=r"table: .* torch_device 'nosuch', this computer has cpu"):
        OpticalBench(table={"torch_device": "nosuch"})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told() -> None:
    with pytest.raises(DeviceError, match=r"torch_device 'cuda', this computer has cpu; .* PyTorch build"):
        OpticalBench(table={"torch_device": "cuda"})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_tensors_stay_there() -> None:
    bench = OpticalBench(table={"torch_device": "cuda"})
    frames = bench.sensor.simulate(torch.zeros(2, 8, 8, device="cuda"))
    assert frames.is_cuda
    expected = bench.optics.expected(torch.zeros(2, 8, 8, device="cuda"))
    assert expected.is_cuda
