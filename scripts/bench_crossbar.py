"""Measure the simulated crossbar on one thread: a noisy read against bare torch, and the wires' matrix.

Run from the root of the repository: `PYTHONPATH=. python scripts/bench_crossbar.py`.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
import torch
from torch import Tensor

from pnnlab.physics import Crossbar, Wires, effective_conductance

_SIZE, _BATCH, _BITS = 512, 128, 8
_RANGE_V = 0.2


def quantise(x: Tensor, full_scale: float) -> Tensor:
    """Round to the codes of a converter, clipping at its full scale."""
    step = full_scale / (2 ** (_BITS - 1) - 1)
    return x.mul(1.0 / step).round_().clamp_(-(2 ** (_BITS - 1)), 2 ** (_BITS - 1) - 1).mul_(step)


def race(runners: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, list[float]]:
    """Time all runners in turn, round by round, so that a busy machine slows them alike; seconds."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def bench_read(rounds: int) -> None:
    """Compare a noisy read between converters with a bare product and its noise term."""
    generator = torch.Generator().manual_seed(0)
    g = (1.0 + 99.0 * torch.rand(_SIZE, _SIZE, generator=generator)) * 1e-6
    std = 0.02 * g
    v = _RANGE_V * (2.0 * torch.rand(_BATCH, _SIZE, generator=generator) - 1.0)
    variance = std**2
    plain = Crossbar(g, read_std_siemens=std)
    wired = Crossbar(g, read_std_siemens=std, wires=Wires(0.1, 0.1))
    full_scale_a = float(4.0 * (v @ g).std())

    def bare() -> Tensor:
        return v @ g

    def bare_noise() -> Tensor:
        return v @ g + torch.sqrt(v**2 @ variance) * torch.randn(_BATCH, _SIZE, generator=generator)

    def noise_only() -> Tensor:
        return torch.randn(_BATCH, _SIZE, generator=generator)

    def read() -> Tensor:
        current: Tensor = plain(v, generator)
        return current

    def converted() -> Tensor:
        return quantise(plain(quantise(v, _RANGE_V), generator), full_scale_a)

    def wired_converted() -> Tensor:
        return quantise(wired(quantise(v, _RANGE_V), generator), full_scale_a)

    runners = {
        "torch product": bare,
        "random numbers alone": noise_only,
        "torch product + noise term": bare_noise,
        "crossbar, read noise": read,
        f"crossbar, read noise, {_BITS}-bit DAC and ADC": converted,
        f"crossbar, wires, read noise, {_BITS}-bit DAC and ADC": wired_converted,
    }
    with torch.no_grad():
        wired(v)  # solves the wires, once
        race(runners, 5)
        times = race(runners, rounds)
    reference = times["torch product + noise term"]
    print(f"{_SIZE}x{_SIZE}, batch {_BATCH}, float32, 1 thread, {rounds} rounds")
    for name, taken in times.items():
        print(
            f"  {name:50s} best {min(taken) * 1e3:7.3f} ms, median {statistics.median(taken) * 1e3:7.3f} ms, "
            f"ratio to torch + noise: best {min(taken) / min(reference):5.2f}, "
            f"median {statistics.median(taken) / statistics.median(reference):5.2f}"
        )


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
    solution = sla.splu(sp.csc_matrix((data, (rows, columns)), shape=(2 * n * m, 2 * n * m))).solve(drive)
    return np.asarray(column * solution[foot[-1]])


def bench_wires(sizes: list[int]) -> None:
    """Time the effective matrix and its derivative, and compare it with the sparse solution."""
    wires = Wires(1.0, 1.0)
    rng = np.random.default_rng(0)
    print("wires of 1 ohm a segment, cells of 1 to 100 uS, double precision, 1 thread")
    for size in sizes:
        g = torch.tensor(rng.uniform(1e-6, 1e-4, (size, size)))
        v = rng.uniform(0.0, _RANGE_V, size)
        taken = []
        for _ in range(3):
            start = time.perf_counter()
            matrix = effective_conductance(g, wires)
            taken.append(time.perf_counter() - start)
        start = time.perf_counter()
        reference = sparse_currents(g.numpy(), v, wires)
        sparse_s = time.perf_counter() - start
        error = np.abs(v @ matrix.numpy() / reference - 1.0).max()
        learned = g.clone().requires_grad_()
        start = time.perf_counter()
        torch.autograd.grad(effective_conductance(learned, wires).square().sum(), learned)
        both_s = time.perf_counter() - start
        loss = np.abs(1.0 - reference / (v @ g.numpy())).max()
        print(
            f"  N {size:4d}: matrix {min(taken) * 1e3:8.1f} ms, matrix and gradient {both_s * 1e3:8.1f} ms, "
            f"sparse LU for one drive {sparse_s * 1e3:8.1f} ms, largest relative difference {error:.1e}, "
            f"current lost {loss:.1%}"
        )


def main() -> None:
    """Run both benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="rounds of the read (default 100)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128, 256], help="sizes N of NxN arrays")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench_read(arguments.rounds)
    bench_wires(arguments.sizes)


if __name__ == "__main__":
    main()
