"""Physics against ngspice, a circuit simulator that shares no line with this project."""

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pnnlab.physics import Crossbar, OscillatorNetwork, Wires

pytestmark = pytest.mark.skipif(
    shutil.which("ngspice") is None, reason="needs the circuit simulator ngspice on the PATH"
)


def ngspice(deck: list[str], analysis: str, vectors: list[str], folder: Path) -> np.ndarray:
    """Return the vectors, shape (n_points, n_vectors), that an analysis of the deck gives."""
    names = " ".join(vectors)
    control = [".control", "set wr_vecnames=0", "set numdgt=14", analysis, f"wrdata out.txt {names}", "quit", ".endc"]
    lines = ["deck", *deck, f".save {names}", *control, ".end"]
    (folder / "deck.cir").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", "deck.cir"], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    table = folder / "out.txt"
    assert table.exists(), done.stdout[-800:] + done.stderr[-800:]
    return np.loadtxt(table, ndmin=2)[:, 1::2]  # every other column is the sweep variable


def crossbar_deck(g: Tensor, v: Tensor, u: Tensor, wires: Wires) -> list[str]:
    """Rows driven with v at their left ends, columns held at u at their bottom ends."""
    n, m = g.shape
    deck = [".options reltol=1e-9 abstol=1e-15 vntol=1e-12"]
    for i in range(n):
        deck += [f"VR{i} s{i} 0 {v[i].item():.15g}", f"RS{i} s{i} r{i}_0 {wires.row_ohm:.15g}"]
        for j in range(m):
            deck.append(f"RC{i}_{j} r{i}_{j} c{i}_{j} {1.0 / g[i, j].item():.15g}")
            if j + 1 < m:
                deck.append(f"RR{i}_{j} r{i}_{j} r{i}_{j + 1} {wires.row_ohm:.15g}")
            if i + 1 < n:
                deck.append(f"RK{i}_{j} c{i}_{j} c{i + 1}_{j} {wires.column_ohm:.15g}")
    for j in range(m):
        deck += [f"RE{j} c{n - 1}_{j} e{j} {wires.column_ohm:.15g}", f"VC{j} e{j} 0 {u[j].item():.15g}"]
    return deck


CASES = [
    (32, 32, Wires(1e-3, 1e-3)),
    (32, 32, Wires(1.0, 1.0)),
    (32, 32, Wires(10.0, 10.0)),
    (10, 24, Wires(2.0, 7.0)),
    (24, 10, Wires(7.0, 2.0)),
]


@pytest.mark.parametrize(("n_rows", "n_cols", "wires"), CASES, ids=str)
def test_a_crossbar_with_wires_carries_the_same_currents(
    n_rows: int, n_cols: int, wires: Wires, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    g = (1.0 + 99.0 * torch.rand(n_rows, n_cols, generator=generator, dtype=torch.float64)) * 1e-6
    v = 0.2 * torch.rand(n_rows, generator=generator, dtype=torch.float64)
    u = 0.2 * torch.rand(n_cols, generator=generator, dtype=torch.float64)
    crossbar = Crossbar(g, wires=wires)
    columns = ngspice(
        crossbar_deck(g, v, torch.zeros(n_cols), wires), "op", [f"i(vc{j})" for j in range(n_cols)], tmp_path
    )
    # ngspice's relative tolerance is set to 1e-9
    np.testing.assert_allclose(crossbar(v[None]).numpy(), columns, rtol=1e-8)
    rows = ngspice(
        crossbar_deck(g, torch.zeros(n_rows), u, wires), "op", [f"i(vr{i})" for i in range(n_rows)], tmp_path
    )
    np.testing.assert_allclose(crossbar.transposed(u[None]).numpy(), rows, rtol=1e-8)


def test_oscillators_ring_the_same(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(2)
    net = OscillatorNetwork.random(3, 1, 1, generator, dtype=torch.float64, substeps=32)
    n_samples, n = 24, net.n_oscillators
    u = 2.0 * torch.rand(1, n_samples, 1, generator=generator, dtype=torch.float64) - 1.0
    expected, _ = net(u)

    # Analog computing: a 1 F capacitor integrates the current of a behavioural source, 1 s is one sample. The DAC
    # is a sum of steps, each 1e-4 of a sample long.
    s = 2.0 * math.pi * net.reference_hz / net.sample_rate_hz
    corners = [
        f"{t + 1e-4:.6f} {u[0, t, 0].item():.12g} {t + 1:.6f} {u[0, t, 0].item():.12g}" for t in range(n_samples)
    ]
    deck = [
        ".options reltol=1e-7 abstol=1e-12 vntol=1e-10 method=gear",
        f"VU u 0 PWL(0 0 {' '.join(corners)})",
        f"BA 0 a I={s * net.bandwidth_hz / net.reference_hz:.12g}*(V(u)-V(a))",
        "CA a 0 1 IC=0",
    ]
    f, g, b = net.frequency.tolist(), net.damping.tolist(), net.cubic.tolist()
    for i in range(n):
        springs = "".join(f"-{net.coupling[i, j].item():.12g}*(V(x{i})-V(x{j}))" for j in range(n) if j != i)
        force = (
            f"({net.input_gain[i, 0].item():.12g})*V(a)-{g[i]:.12g}*V(p{i})-{f[i] ** 2:.12g}*V(x{i})"
            f"-{b[i]:.12g}*V(x{i})*V(x{i})*V(x{i}){springs}"
        )
        deck += [f"BX{i} 0 x{i} I={s:.12g}*V(p{i})", f"CX{i} x{i} 0 1 IC=0"]
        deck += [f"BP{i} 0 p{i} I={s:.12g}*({force})", f"CP{i} p{i} 0 1 IC=0"]
    nodes = [f"v(x{i})" for i in range(n)]
    lines = [*deck, ".control", "set wr_vecnames=0", "set numdgt=12", f"tran 0.002 {n_samples} 0 0.002 uic"]
    lines += ["linearize", f"wrdata out.txt {' '.join(nodes)}", "quit", ".endc", ".end"]
    (tmp_path / "ring.cir").write_text("\n".join(["ring", *lines]) + "\n")
    subprocess.run(["ngspice", "-b", "ring.cir"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=True)
    table = np.loadtxt(tmp_path / "out.txt", ndmin=2)
    ends = [int(np.argmin(np.abs(table[:, 0] - t))) for t in range(1, n_samples + 1)]
    linear = table[ends][:, 1::2] @ net.output_gain.numpy().T
    found = net.saturation_v * np.tanh(linear / net.saturation_v)
    # the DAC's ramps of 1e-4 of a sample, ngspice's steps of 2e-3 and our 32 substeps each cost some 1e-4
    np.testing.assert_allclose(expected[0].numpy(), found, atol=2e-3 * found.std())
