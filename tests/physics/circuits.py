"""Resistor networks as circuit decks."""

from torch import Tensor

from pnnlab.physics import Ohmic, ResistorNetwork, Transistor


def deck_of(net: ResistorNetwork, held_v: Tensor, setting: Tensor, current_a: Tensor, *, diodes: bool) -> list[str]:
    """Return the lines of one row of a network; nodes are called `n0`, `n1` ... , ground is 0."""
    deck = [".options reltol=1e-10 abstol=1e-16 vntol=1e-13 gmin=1e-18 itl1=2000 temp=27 tnom=27"]
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
    if diodes:
        deck += [".model D1 D(IS=2.5e-9 N=1.75)", "VUP up 0 0.2", "VDN dn 0 -0.2"]
        for n in (k for k in net.free.tolist()[:-1]):
            deck += [f"DU{n} n{n} up D1", f"DL{n} dn n{n} D1"]
    return deck
