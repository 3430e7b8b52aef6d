"""Resistor networks solved by ngspice, a circuit simulator that shares no line with this project."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pnnlab.physics import Ohmic, ResistorNetwork, Transistor

__all__ = ["has_ngspice", "operating_point"]


def has_ngspice() -> bool:
    """Return whether ngspice is on the path."""
    return shutil.which("ngspice") is not None


def operating_point(
    net: ResistorNetwork, held_v: Tensor, setting: Tensor, current_a: Tensor | None = None, *, rail_v: float = 0.0,
    saturation_a: float = 2.5e-9, ideality: float = 1.75,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return the voltages of all nodes, shape `(n_nodes,)`, that ngspice finds.

    Args:
        net: The network.
        held_v: Voltages of its held nodes, shape `(n_held,)`.
        setting: Of its elements, shape `(n_edges,)`.
        current_a: Currents into its nodes, shape `(n_nodes,)`; none if `None`.
        rail_v: Of the network's diodes, if it has any.
        saturation_a: The same.
        ideality: The same.

    Raises:
        RuntimeError: ngspice finds none.
    """
    currents = torch.zeros(net.n_nodes) if current_a is None else current_a
    deck = _deck(net, held_v, setting, currents)
    if net.diodes is not None:
        deck += [f".model D1 D(IS={saturation_a:.15g} N={ideality:.15g})", f"VUP up 0 {rail_v}", f"VDN dn 0 {-rail_v}"]
        for n in net.diodes.nodes.tolist():
            deck += [f"DU{n} n{n} up D1", f"DL{n} dn n{n} D1"]
    names = " ".join(f"v(n{k})" for k in range(net.n_nodes))
    control = [".control", "set wr_vecnames=0", "set numdgt=14", "op", f"wrdata out.txt {names}", "quit", ".endc"]
    lines = ["resistor network", *deck, f".save {names}", *control, ".end"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "deck.cir").write_text("\n".join(lines) + "\n", encoding="utf-8")
        done = subprocess.run(
            ["ngspice", "-b", "deck.cir"], cwd=folder, capture_output=True, text=True, timeout=100, check=False
        )
        table = Path(folder) / "out.txt"
        if not table.exists():
            raise RuntimeError(f"ngspice found no operating point: {done.stdout[-500:]}{done.stderr[-500:]}")
        # every other column is the sweep variable
        volts: npt.NDArray[np.float64] = np.loadtxt(table, ndmin=2)[0, 1::2]
    return volts


def _deck(net: ResistorNetwork, held_v: Tensor, setting: Tensor, current_a: Tensor) -> list[str]:
    """Return the lines of a network without its diodes; nodes are called `n0`, `n1` ... , ground is 0."""
    # its Boltzmann constant is that of CODATA 2014: a little more than 27 °C gives the thermal voltage of ours
    deck = [".options reltol=1e-10 abstol=1e-16 vntol=1e-13 gmin=1e-18 itl1=2000 temp=27.000102 tnom=27.000102"]
    deck += [f"VH{n} n{n} 0 {v:.15g}" for n, v in zip(net.held.tolist(), held_v.tolist(), strict=True)]
    deck += [f"IN{n} 0 n{n} {j:.15g}" for n, j in enumerate(current_a.tolist()) if j and n not in net.held.tolist()]
    pairs = zip(net.heads.tolist(), net.tails.tolist(), setting.tolist(), strict=True)
    for e, (a, b, s) in enumerate(pairs):
        if isinstance(net.law, Transistor):
            law = net.law
            deck += [f"VG{e} g{e} 0 {s:.15g}", f"M{e} n{a} g{e} n{b} bulk MOS W=1u L=1u"]
            deck.append(f"RO{e} n{a} n{b} {1 / law.off_siemens:.15g}")
        elif isinstance(net.law, Ohmic) and net.law.cubic_per_v2:
            # a power of a negative number is not what one would think it is in ngspice
            v, c = f"V(n{a},n{b})", net.law.cubic_per_v2
            deck.append(f"B{e} n{a} n{b} I={s:.15g}*({v}+{c:.15g}*{v}*{v}*{v})")
        else:
            deck.append(f"R{e} n{a} n{b} {1 / s:.15g}")
        if net.gyration:
            around = net.gyration * s
            deck += [f"GA{e} n{a} 0 n{b} 0 {around:.15g}", f"GB{e} n{b} 0 n{a} 0 {-around:.15g}"]
    if isinstance(net.law, Transistor):
        law = net.law
        deck += ["VBULK bulk 0 -10", f".model MOS NMOS LEVEL=1 VTO={law.threshold_v} KP={law.gain_a_per_v2} IS=1e-30"]
    return deck
