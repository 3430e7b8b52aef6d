"""Measure the simulated crossbar: a noisy read against bare torch and two peers, and the wires' matrix.

All run in this process, on one CPU thread, in turns, on the same inputs; ratios are between lines of one run.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONPATH=. python scripts/bench_crossbar.py

The peers are no dependencies of the project. aihwkit 1.2.0: its source distribution, built with `pip install
--no-build-isolation --no-deps aihwkit==1.2.0` after scikit-build, pybind11, ninja, cmake and OpenBLAS, then
scikit-learn, requests, tqdm and protobuf. CrossSim 3.2.0: `pip install` of a checkout of sandialabs/cross-sim.
"""

import argparse
import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
import torch
from torch import Tensor

from pnnlab.physics import (
    Crossbar,
    DifferentialPair,
    ProgrammedCells,
    Wires,
    effective_conductance,
    memristor_preset,
    multiply,
    program,
    read_noise_std,
)

_SIZE, _BATCH, _BITS = 512, 128, 8
_RANGE_V = 0.2
_DAY_S = 86400.0
_BASELINE = "torch product + its noise term"
Runner = Callable[[], object]


def peer(name: str) -> ModuleType | None:
    """Return a peer's package, or say that it is missing and how to get it."""
    if importlib.util.find_spec(name) is None:
        print(f"  (no package {name!r}: its lines are skipped; the docstring of this script says how to install it)")
        return None
    return importlib.import_module(name)


def quantise(x: Tensor, full_scale: float) -> Tensor:
    """Round to the codes of a converter, clipping at its full scale."""
    step = full_scale / (2 ** (_BITS - 1) - 1)
    return x.mul(1.0 / step).round_().clamp_(-(2 ** (_BITS - 1)), 2 ** (_BITS - 1) - 1).mul_(step)


def race(runners: dict[str, Runner], rounds: int) -> dict[str, list[float]]:
    """Time all runners in turn, round by round, so that a busy machine slows them alike; seconds."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def ours(v: Tensor, weight: Tensor, generator: torch.Generator) -> dict[str, Runner]:
    """Return bare torch and the crossbar, on cells written with errors and read a day later.

    Phase-change cells: programming noise and drift are in the conductances, read noise is fresh for every cell,
    sample and read. A pair of cells carries a signed weight and is subtracted before the converter.
    """
    model = memristor_preset("pcm-nandakumar-2019")
    pair = DifferentialPair.of(model)
    plus, minus = (program(g, model, generator) for g in pair.conductances(weight))
    arrays = [Crossbar.from_cells(cells, _DAY_S) for cells in (plus, minus)]
    wired = Crossbar.from_cells(plus, _DAY_S, wires=Wires(0.1, 0.1))
    single = arrays[0]
    g = single.conductance_siemens
    variance = read_noise_std(plus, _DAY_S) ** 2
    signed = g - arrays[1].conductance_siemens
    signed_variance = variance + read_noise_std(minus, _DAY_S) ** 2
    scale_a, signed_scale_a = float(4.0 * (v @ g).std()), float(4.0 * (v @ signed).std())
    wired.effective_conductance()  # solves the wires, once

    def noise() -> Tensor:
        return torch.randn(_BATCH, _SIZE, generator=generator)

    def pair_read() -> Tensor:
        current = multiply(quantise(v, _RANGE_V), signed, read_variance=signed_variance, generator=generator)
        return quantise(current, signed_scale_a)

    return {
        "torch product": lambda: v @ g,
        "random numbers alone": noise,
        "torch product + one random number an output": lambda: v @ g + noise(),
        _BASELINE: lambda: v @ g + torch.sqrt(v**2 @ variance) * noise(),
        "pnnlab crossbar, written, drifted, read noise": lambda: single(v, generator),
        "  + 8-bit DAC and ADC": lambda: quantise(single(quantise(v, _RANGE_V), generator), scale_a),
        "  + 8-bit DAC and ADC + wires": lambda: quantise(wired(quantise(v, _RANGE_V), generator), scale_a),
        "  a pair for each weight, 8-bit DAC and ADC": pair_read,
    }


def aihwkit_tiles(x: Tensor, weight: Tensor) -> dict[str, Runner]:
    """Return aihwkit's tiles of the same size, with the noise that each one's preset has."""
    if peer("aihwkit") is None:
        return {}
    nn, configs = importlib.import_module("aihwkit.nn"), importlib.import_module("aihwkit.simulator.configs")
    presets = importlib.import_module("aihwkit.simulator.presets")
    kinds = {
        "aihwkit torch tile (7-bit DAC, 9-bit ADC, output noise)": configs.TorchInferenceRPUConfig(),
        "aihwkit C++ tile (the same)": configs.InferenceRPUConfig(),
        "aihwkit C++ HWA preset (8 bit, PCM read noise, IR drop)": presets.StandardHWATrainingPreset(),
    }
    runners: dict[str, Runner] = {}
    for name, config in kinds.items():
        config.mapping.max_input_size = config.mapping.max_output_size = _SIZE
        layer = nn.AnalogLinear(_SIZE, _SIZE, bias=False, rpu_config=config)
        layer.set_weights(weight.mT.contiguous())
        layer.eval()
        runners[name] = partial(layer, x)
    return runners


def crosssim_cores(x: Tensor, weight: Tensor) -> dict[str, Runner]:
    """Return CrossSim's core with programming errors of 3 %, read noise of 2 % a cell and 8-bit converters."""
    if peer("simulator") is None:
        return {}
    simulator = importlib.import_module("simulator")
    runners: dict[str, Runner] = {}
    for name, noisy in (
        ("CrossSim 3.2, 8-bit DAC and ADC, no noise", False),
        ("CrossSim 3.2, written, read noise, 8-bit", True),
    ):
        parameters = simulator.CrossSimParameters()
        device = parameters.xbar.device
        device.Rmin, device.Rmax = 1e4, 1e6
        for error, magnitude in ((device.programming_error, 0.03), (device.read_noise, 0.02)):
            error.enable, error.model, error.magnitude = noisy, "NormalProportionalDevice", magnitude
        parameters.xbar.dac.mvm.model, parameters.xbar.dac.mvm.bits = "QuantizerDAC", _BITS
        parameters.xbar.adc.mvm.model, parameters.xbar.adc.mvm.bits = "QuantizerADC", _BITS
        parameters.xbar.adc.mvm.calibrated_range = [-40, 40]
        core = simulator.AnalogCore(weight.mT.double().numpy(), parameters)
        runners[name] = partial(core.matmat, x.mT.double().numpy())
    return runners


def check_noise(generator: torch.Generator) -> None:
    """Compare the lumped noise with a noisy conductance drawn for every cell and sample."""
    model = memristor_preset("pcm-nandakumar-2019")
    target = 25e-6 * torch.rand(_SIZE, _SIZE, generator=generator)
    cells: ProgrammedCells = program(target, model, generator)
    crossbar = Crossbar.from_cells(cells, _DAY_S)
    g, std = crossbar.conductance_siemens, read_noise_std(cells, _DAY_S)
    v = _RANGE_V * (2.0 * torch.rand(_BATCH, _SIZE, generator=generator) - 1.0)
    start = time.perf_counter()
    each = [x @ (g + std * torch.randn(_SIZE, _SIZE, generator=generator)) - x @ g for x in v]
    per_cell_s = time.perf_counter() - start
    lumped = crossbar(v, generator) - v @ g
    expected = ((v**2) @ std**2).sqrt()
    print(
        f"  a noisy conductance for every cell and sample: {per_cell_s * 1e3:.0f} ms; noise over its exact standard "
        f"deviation: per cell {float((torch.stack(each) / expected).std()):.4f}, lumped "
        f"{float((lumped / expected).std()):.4f} (65 536 numbers each: 0.003 is one standard error)"
    )


def bench_read(rounds: int, slow_rounds: int) -> None:
    """Compare a noisy read between converters with a bare product and its noise term, and with peers."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)  # aihwkit's
    weight = 2.0 * torch.rand(_SIZE, _SIZE, generator=generator) - 1.0
    x = 2.0 * torch.rand(_BATCH, _SIZE, generator=generator) - 1.0
    print(f"{_SIZE}x{_SIZE}, batch {_BATCH}, float32, 1 thread, {rounds} rounds ({slow_rounds} of the slow ones)")
    fast = ours(_RANGE_V * x, weight, generator)
    small = weight / _SIZE**0.5
    aihwkit, crosssim = aihwkit_tiles(x, small), crosssim_cores(x, small)
    slow = {name: run for name, run in (aihwkit | crosssim).items() if "HWA" in name or "read noise, 8-bit" in name}
    fast |= {name: run for name, run in (aihwkit | crosssim).items() if name not in slow}
    with torch.no_grad():
        race(fast, 5)
        times = race(fast, rounds)
        times |= race(slow, slow_rounds)
    reference = times[_BASELINE]
    for name, taken in times.items():
        print(
            f"  {name:56s} best {min(taken) * 1e3:9.3f} ms, median {statistics.median(taken) * 1e3:9.3f} ms, "
            f"over '{_BASELINE}': best {min(taken) / min(reference):8.2f}, "
            f"median {statistics.median(taken) / statistics.median(reference):8.2f}"
        )
    check_noise(generator)


def sparse_currents(g: np.ndarray, v: np.ndarray, wires: Wires) -> np.ndarray:
    """Return the column currents by one sparse LU of Kirchhoff's equations, as an independent reference."""
    n, m = g.shape
    row, column = 1.0 / wires.row_ohm, 1.0 / wires.column_ohm
    top = np.arange(n * m).reshape(n, m)
    foot = top + n * m
    a = np.concatenate((top.ravel(), top[:, :-1].ravel(), foot[:-1].ravel()))
    b = np.concatenate((foot.ravel(), top[:, 1:].ravel(), foot[1:].ravel()))
    value = np.concatenate((g.ravel(), np.full(n * (m - 1), row), np.full((n - 1) * m, column)))
    rows = np.concatenate((a, b, a, b, top[:, 0], foot[-1]))
    columns = np.concatenate((a, b, b, a, top[:, 0], foot[-1]))
    data = np.concatenate((value, value, -value, -value, np.full(n, row), np.full(m, column)))
    drive = np.zeros(2 * n * m)
    drive[top[:, 0]] = row * v
    matrix = sp.csc_matrix((data, (rows, columns)), shape=(2 * n * m, 2 * n * m))
    # symmetric and positive definite: the ordering for it, without pivoting, is the fastest that scipy has
    options = {"SymmetricMode": True}
    solution = sla.splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options).solve(drive)
    return np.asarray(column * solution[foot[-1]])


def crosssim_currents(g: np.ndarray, v: np.ndarray, wires: Wires) -> np.ndarray:
    """Return CrossSim's column currents in amperes for voltages, shape `(batch, n_rows)`, at its own tolerance."""
    simulator = importlib.import_module("simulator")
    parameters = simulator.CrossSimParameters()
    parameters.xbar.device.Rmin, parameters.xbar.device.infinite_on_off_ratio = 1e4, True
    weights = parameters.core.mapping.weights
    weights.max, weights.min, weights.percentile = 1.0, -1.0, None
    parasitics = parameters.xbar.array.parasitics
    parasitics.enable, parasitics.Rp_row, parasitics.Rp_col = True, wires.row_ohm, wires.column_ohm
    parameters.simulation.Niters_max_parasitics = 1000
    # the pair of arrays is solved apart, and the negative one is empty: what is left is one array as ours
    parameters.simulation.disable_fast_balanced = True
    core = simulator.AnalogCore(1e4 * g.T, parameters)
    return np.asarray(core.matmat(v.T)).T * 1e-4


def bench_wires(sizes: list[int], batch: int = 16) -> None:
    """Time the effective matrix and its derivative, and compare it with the sparse solution and CrossSim's."""
    wires = Wires(1.0, 1.0)
    rng = np.random.default_rng(0)
    print("wires of 1 ohm a segment, cells of 1 to 100 uS, double precision, 1 thread")
    crosssim = peer("simulator")
    for size in sizes:
        g = torch.tensor(rng.uniform(1e-6, 1e-4, (size, size)))
        v = rng.uniform(0.0, _RANGE_V, (batch, size))
        taken = race({"matrix": partial(effective_conductance, g, wires)}, 3)["matrix"]
        matrix = effective_conductance(g, wires).numpy()
        start = time.perf_counter()
        reference = sparse_currents(g.numpy(), v[0], wires)
        sparse_s = time.perf_counter() - start
        error = np.abs(v[0] @ matrix / reference - 1.0).max()
        learned = g.clone().requires_grad_()
        start = time.perf_counter()
        torch.autograd.grad(effective_conductance(learned, wires).square().sum(), learned)
        both_s = time.perf_counter() - start
        loss = np.abs(1.0 - reference / (v[0] @ g.numpy())).max()
        print(
            f"  N {size:4d}: matrix, once for all drives {min(taken) * 1e3:8.1f} ms, and its gradient "
            f"{both_s * 1e3:8.1f} ms, sparse LU for one drive {sparse_s * 1e3:8.1f} ms, largest relative error "
            f"{error:.1e}, current lost {loss:.1%}"
        )
        # its fixed-point iteration converges for short wires only: at N = 256 here, with three quarters of the
        # current lost, it had not ended after minutes
        if crosssim is not None and size <= 128:
            start = time.perf_counter()
            found = crosssim_currents(g.numpy(), v, wires)
            peer_s = time.perf_counter() - start
            error = np.abs(found / (v @ matrix) - 1.0).max()
            print(f"          CrossSim {peer_s / batch * 1e3:.2f} ms a drive, largest relative error {error:.1e}")


def main() -> None:
    """Run both benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="rounds of the read (default 100)")
    parser.add_argument("--slow-rounds", type=int, default=3, help="rounds of what takes over 10 ms (default 3)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512], help="sizes N of NxN arrays")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench_read(arguments.rounds, arguments.slow_rounds)
    bench_wires(arguments.sizes)


if __name__ == "__main__":
    main()
