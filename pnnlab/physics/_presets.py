"""Published memristive devices, each with its source, ready to be programmed.

All formulas are fits in microsiemens, as published or as fitted by the simulator named in `source`; the laws
convert. A fit is used with the reference conductance it was made with, whatever window a variant gets.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from pnnlab.physics._memristor import ConductanceLaw, FlickerNoise, Memristor, PowerLawDrift, Relaxation

__all__ = ["MEMRISTOR_PRESETS", "memristor_preset"]

_US = 1e-6
# Relative conductances below this are read as this: the fits contain ln x, and no chip resolves so small a g.
_X_FLOOR = 1e-7
_DAY_S = 86400.0


def _horner(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Return sum_k coefficients[k] x^k."""
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def _std_polynomial(*coefficients: float, reference_us: float = 1.0) -> ConductanceLaw:
    """Return the law max(sum_k c_k x^k, 0) microsiemens, in siemens, with x = g / reference."""

    def law(g: Tensor) -> Tensor:
        return _US * _horner(g / (reference_us * _US), coefficients).clamp(min=0.0)

    return law


def _log_clipped(x: Tensor, slope: float, offset: float, low: float, high: float) -> Tensor:
    return (slope * torch.log(x.clamp(min=_X_FLOOR)) + offset).clamp(low, high)


def _piecewise(
    split: float, below: tuple[float, float, float, float], above: tuple[float, ...], *, reference_us: float
) -> ConductanceLaw:
    """Return the dimensionless law of the HERMES fits: a clipped logarithm below `split`, a polynomial above."""

    def law(g: Tensor) -> Tensor:
        x = g / (reference_us * _US)
        return torch.where(x < split, _log_clipped(x, *below), _horner(x, above))

    return law


def _relative(law: ConductanceLaw) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a noise amplitude that is the present conductance times a law of the written one."""

    def amplitude(written: Tensor, present: Tensor) -> Tensor:
        return present * law(written)

    return amplitude


# Phase-change memory, Nandakumar et al., ICECS 2019


def _nandakumar_nu_mean(g: Tensor) -> Tensor:
    return _log_clipped(g / (25.0 * _US), -0.0155, 0.0244, 0.049, 0.1)


def _nandakumar_nu_std(g: Tensor) -> Tensor:
    return _log_clipped(g / (25.0 * _US), -0.0125, -0.0059, 0.008, 0.045)


def _nandakumar_read(g: Tensor) -> Tensor:
    return (0.0088 / (g / (25.0 * _US)).clamp(min=_X_FLOOR) ** 0.65).clamp(max=0.2)


_PCM_NANDAKUMAR = Memristor(
    name="pcm-nandakumar-2019",
    source=(
        "Nandakumar et al., ICECS 2019 (doi 10.1109/ICECS46596.2019.8964852), with the coefficients of aihwkit's "
        "PCMLikeNoiseModel, in uS for g_max = 25 uS. Programming std: over cells, for one iterative write "
        "(device-to-device and cycle-to-cycle together). Drift exponent: over cells, drawn with each write. Read "
        "std: for one read of 250 ns, relative 1/f amplitude from the written conductance. t = 0 is 20 s after "
        "the write."
    ),
    g_min_siemens=0.0,
    g_max_siemens=25.0 * _US,
    programming_std=_std_polynomial(0.26348, 1.9650, -1.1731, reference_us=25.0),
    drift=PowerLawDrift(_nandakumar_nu_mean, _nandakumar_nu_std, t0_s=20.0),
    read_noise=FlickerNoise(_relative(_nandakumar_read), read_s=250e-9, t0_s=20.0),
)

# Phase-change memory of the HERMES chip, Le Gallo et al. 2023


def _hermes_nu_mean(reference_us: float) -> ConductanceLaw:
    return _piecewise(0.0945, (-0.0387, -0.0182, 0.072, 0.13), (0.0736, -0.0126, -0.0436), reference_us=reference_us)


def _hermes_source(devices: str, reference_us: float, t0_s: float) -> str:
    return (
        f"IBM HERMES project chip, {devices} for each sign of a weight: Le Gallo et al., Nat. Electron. 6, 680 "
        "(2023), Khaddam-Aljameh et al., JSSC 2022, Vasilopoulos et al., TED 2023, with the coefficients of "
        f"aihwkit's HermesNoiseModel, in uS for g_max = {reference_us:g} uS. Programming std: over cells, for one "
        "iterative write (device-to-device and cycle-to-cycle together). Drift exponent: over cells, drawn with "
        "each write. Read std: for one read of 512 ns, relative 1/f amplitude from the written conductance. "
        f"t = 0 is {t0_s:g} s after the write."
    )


_PCM_HERMES_ONE = Memristor(
    name="pcm-hermes-2023-one-device",
    source=_hermes_source("one device", 10.35, 200.0),
    g_min_siemens=0.0,
    g_max_siemens=10.35 * _US,
    programming_std=_std_polynomial(0.15781817, 2.32443916, -2.16310839, 0.68841818, reference_us=10.35),
    drift=PowerLawDrift(
        _hermes_nu_mean(10.35),
        _piecewise(0.3039, (-0.0120, -0.0023, 0.0124, 0.04), (0.0104, 0.0116, -0.0165), reference_us=10.35),
        t0_s=200.0,
    ),
    read_noise=FlickerNoise(
        _relative(
            _piecewise(
                0.1591,
                (-0.0078, 0.0038, 0.0179, 0.04),
                (0.0088, 0.0768, -0.1352, 0.0664),
                reference_us=10.35,
            )
        ),
        read_s=512e-9,
        t0_s=200.0,
    ),
)

_PCM_HERMES_TWO = Memristor(
    name="pcm-hermes-2023-two-devices",
    source=_hermes_source("two devices in parallel", 20.7, 300.0),
    g_min_siemens=0.0,
    g_max_siemens=20.7 * _US,
    programming_std=_std_polynomial(0.16603222, 4.71806468, -8.48101252, 4.68961419, reference_us=20.7),
    drift=PowerLawDrift(
        _hermes_nu_mean(20.7),
        _piecewise(0.3055, (-0.0117, -0.0057, 0.0091, 0.04), (0.0073, 0.0093, -0.0118), reference_us=20.7),
        t0_s=300.0,
    ),
    read_noise=FlickerNoise(
        _relative(
            _piecewise(
                0.16,
                (-0.0117, -0.0069, 0.015, 0.04),
                (0.0123, 0.0211, -0.0280, 0.0069),
                reference_us=20.7,
            )
        ),
        read_s=512e-9,
        t0_s=300.0,
    ),
)

# Filamentary RRAM


def _wan_read(written: Tensor, present: Tensor, t_s: float) -> Tensor:
    return torch.full_like(present, 0.01 * 40.0 * _US)


def _wan(age: str, *coefficients: float) -> Memristor:
    return Memristor(
        name=f"rram-wan-2022-{age.replace(' ', '-')}",
        source=(
            "HfOx RRAM of the NeuRRAM chip: Wan et al., Nature 608, 504 (2022), with aihwkit's quartic fit to the "
            f"published figures, in uS for g_max = 40 uS, {age} after the write. Programming std: over cells, for "
            "one write with verify and the relaxation up to then; the data have no other age, so t does not "
            "change it. Read std: 1 % of 40 uS for one read, aihwkit's recommendation, not a published figure."
        ),
        g_min_siemens=0.0,
        g_max_siemens=40.0 * _US,
        programming_std=_std_polynomial(*coefficients, reference_us=40.0),
        read_noise=_wan_read,
    )


def _falcone_time_s(t_s: float) -> float:
    return max(t_s, 1.0)  # the relaxation was measured from one second on


def _falcone_mean(g: Tensor, t_s: float) -> Tensor:
    return torch.full_like(g, -0.08900206 * math.log(_falcone_time_s(t_s)) * _US)


def _falcone_std(g: Tensor, t_s: float) -> Tensor:
    return torch.full_like(g, (0.04201137 * math.log(_falcone_time_s(t_s)) + 0.41183342) * _US)


def _falcone_amplitude(written: Tensor, present: Tensor) -> Tensor:
    # the fit is a logarithm of the number of microsiemens; below 1 uS, far out of the window, it would turn negative
    return 0.0277316483 * torch.log10((present / _US).clamp(min=1.0)) * _US


def _falcone(acceptance: str, constant: float, slope: float) -> Memristor:
    return Memristor(
        name=f"rram-falcone-2025-{acceptance}",
        source=(
            "CMO/HfOx RRAM of IBM Research Zurich: Falcone et al., arXiv 2502.04524 (2025), with the coefficients "
            f"of aihwkit's ReRamCMONoiseModel, in uS, for an acceptance range of {acceptance.replace('pct', ' %')} "
            "in the write-verify loop. Programming std: over cells, for one write. Relaxation: mean and std over "
            "cells, independent of the conductance, measured from 1 s on (earlier times are read as 1 s; t = 0 is "
            "the verified write). Read std: 1/f, for one read of 1 us, absolute. One device is read against a "
            "fixed reference."
        ),
        g_min_siemens=9.0 * _US,
        g_max_siemens=88.2 * _US,
        programming_std=_std_polynomial(constant, slope),
        drift=Relaxation(_falcone_mean, _falcone_std),
        read_noise=FlickerNoise(_falcone_amplitude, read_s=1e-6),
    )


_RRAM_MILO = Memristor(
    name="rram-milo-2021",
    source=(
        "HfO2 RRAM: Milo et al., IRPS 2021 (doi 10.1109/IRPS46558.2021.9405119), Fig. 4, algorithm IGVVA-100, with "
        "CrossSim's linear fit, in uS. Programming std: over cells, for one write with verify. No drift and no "
        "read noise in the data; the cells' curved I-V characteristic is not modelled."
    ),
    g_min_siemens=50.0 * _US,
    g_max_siemens=225.0 * _US,
    programming_std=_std_polynomial(4.782321, -0.009107),
)

_PCM_JOSHI = Memristor(
    name="pcm-joshi-2020",
    source=(
        "Phase-change memory: Joshi et al., Nat. Commun. 11, 2473 (2020), Fig. 3b, with CrossSim's quadratic fit, "
        "in uS. Programming std: over cells, for one iterative write, seen 27 s after it. No drift and no read "
        "noise in the fit."
    ),
    g_min_siemens=0.25 * _US,
    g_max_siemens=25.0 * _US,
    programming_std=_std_polynomial(0.28638599, 0.07585724, -0.00178767),
)

# SONOS flash, Agrawal et al., IEDM 2022. The publication gives currents; the peer's 0 to 16 uS for 0 to 1 600 nA
# is a read at 0.1 V.
_SONOS_NA = 1e-9 / 0.1
# The tenth-degree fits of the mean drift run away above this current (a step of -180 nA from 1 500 to 1 600 nA on
# day 1, against -33 nA at 1 200 nA): beyond it they are held.
_SONOS_DRIFT_LIMIT_NA = 1400.0
_SONOS_SPREAD: Final = (
    (19.88665, 176.3115), (25.59102, 186.85544), (28.72753, 193.56834), (31.04318, 198.90332),
    (33.76214, 204.77023), (34.57909, 207.34309),
)  # fmt: skip
_SONOS_DRIFT: Final = (
    (0.0,) * 11,
    (6.83650e-01, 6.51250e-03, -4.03163e-04, 3.37944e-06, -1.87435e-08, 5.88902e-11,
     -1.07685e-13, 1.17751e-16, -7.60016e-20, 2.67255e-23, -3.94954e-27),
    (6.60925e-01, 8.60627e-03, -1.72936e-04, 7.44096e-07, -5.94866e-09, 2.36734e-11,
     -4.83740e-14, 5.56072e-17, -3.65397e-20, 1.28405e-23, -1.87450e-27),
    (1.15821e00, 1.96116e-02, -4.70807e-04, 3.67510e-06, -2.08786e-08, 6.59752e-11,
     -1.19499e-13, 1.28435e-16, -8.11574e-20, 2.78802e-23, -4.02057e-27),
    (8.72216e-01, 1.70926e-02, -2.23370e-04, 1.57526e-06, -1.32779e-08, 5.08256e-11,
     -1.01251e-13, 1.14633e-16, -7.46124e-20, 2.60559e-23, -3.78724e-27),
    (1.15294e00, 1.03149e-02, -6.05199e-05, 1.76086e-08, -6.46690e-09, 3.39044e-11,
     -7.53872e-14, 8.98185e-17, -6.00346e-20, 2.12615e-23, -3.11099e-27),
)  # fmt: skip


def _sonos_day(t_s: float) -> tuple[int, float]:
    """Return the last measured day and the fraction of the next one that has passed."""
    days = t_s / _DAY_S
    last = len(_SONOS_SPREAD) - 1
    if days > last:
        raise ValueError(
            f"sonos-agrawal-2022: time is {t_s:g} s ({days:.2f} days), measured up to {last} days; "
            "reprogram the cells before, or give the model another drift"
        )
    day = min(int(days), last - 1)
    return day, days - day


def _saturating(current_na: Tensor, height_na: float, scale_na: float) -> Tensor:
    return height_na * (1.0 - torch.exp(-current_na.clamp(min=0.0) / scale_na))


def _sonos_programming(g: Tensor) -> Tensor:
    return _SONOS_NA * _saturating(g / _SONOS_NA, *_SONOS_SPREAD[0])


def _sonos_mean(g: Tensor, t_s: float) -> Tensor:
    day, fraction = _sonos_day(t_s)
    # a polynomial of degree ten with alternating signs needs double precision
    current_na = (g.double() / _SONOS_NA).clamp(0.0, _SONOS_DRIFT_LIMIT_NA)
    shift = torch.lerp(_horner(current_na, _SONOS_DRIFT[day]), _horner(current_na, _SONOS_DRIFT[day + 1]), fraction)
    return (_SONOS_NA * shift).to(g.dtype)


def _sonos_std(g: Tensor, t_s: float) -> Tensor:
    """Return the spread that has been added since programming, so that the total is the day's."""
    day, fraction = _sonos_day(t_s)
    (height, scale), (next_height, next_scale) = _SONOS_SPREAD[day], _SONOS_SPREAD[day + 1]
    height, scale = height + fraction * (next_height - height), scale + fraction * (next_scale - scale)
    current_na = g / _SONOS_NA
    total = _saturating(current_na, height, scale)
    initial = _saturating(current_na, *_SONOS_SPREAD[0])
    return _SONOS_NA * (total**2 - initial**2).clamp(min=0.0).sqrt()


def _sonos_read(written: Tensor, present: Tensor, t_s: float) -> Tensor:
    return _SONOS_NA * _saturating(present / _SONOS_NA, 12.58037, 215.36557)


_SONOS = Memristor(
    name="sonos-agrawal-2022",
    source=(
        "40 nm SONOS charge-trap memory: Agrawal et al., IEDM 2022, 21.7, Figs. 10 and 11, 128 000 devices, with "
        "CrossSim's fits, in nA of current, here read at 0.1 V. Programming std: over cells, for one write "
        "(write error and device-to-device together). Relaxation: mean shift and growing spread over cells, "
        "measured on days 0 to 5, linear in between, no data beyond; the fit of the mean is held above 1.4 uA. "
        "Read std: for one read."
    ),
    g_min_siemens=0.0,
    g_max_siemens=16.0 * _US,
    programming_std=_sonos_programming,
    drift=Relaxation(_sonos_mean, _sonos_std),
    read_noise=_sonos_read,
)

_IDEAL = Memristor(
    name="ideal",
    source="No device: exact writes, no drift, noiseless reads, 0 uS to 100 uS.",
    g_min_siemens=0.0,
    g_max_siemens=100.0 * _US,
)

MEMRISTOR_PRESETS: Mapping[str, Memristor] = MappingProxyType(
    {
        model.name: model
        for model in (
            _IDEAL,
            _PCM_HERMES_ONE,
            _PCM_HERMES_TWO,
            _PCM_JOSHI,
            _PCM_NANDAKUMAR,
            _falcone("0.2pct", 0.00081107, 0.00106879),
            _falcone("2pct", 0.0112185391, 0.01129027418),
            _RRAM_MILO,
            _wan("1 s", 0.348, 16.030, -43.853, 45.393, -16.815),
            _wan("1 day", 0.701, 22.086, -50.773, 47.095, -16.458),
            _wan("2 days", 0.782, 20.274, -43.507, 37.062, -11.934),
            _SONOS,
        )
    }
)
"""The published devices by name; read-only."""


def memristor_preset(name: str) -> Memristor:
    """Return a published device.

    Raises:
        ValueError: No preset has this name; the message lists those there are.
    """
    if name not in MEMRISTOR_PRESETS:
        raise ValueError(f"no memristor is named {name!r}; there are {', '.join(sorted(MEMRISTOR_PRESETS))}")
    return MEMRISTOR_PRESETS[name]
