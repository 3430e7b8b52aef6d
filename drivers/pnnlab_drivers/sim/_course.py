"""The course that a circuit takes through time, driven by a DAC and looked at by an ADC."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypedDict, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.errors import AcquisitionError, DeviceError
from pnnlab_drivers.sim._steps import TICKS, Cut, cut_steps
from pnnlab_drivers.sim._waveforms import UNNUMBERED, Waveform, Waveforms

__all__ = ["Course", "Running", "Whereabouts"]

Times = npt.NDArray[np.float64]

_KEPT: Final = 4096
"""Waveforms and constant voltages that stay known until an ADC asks for them."""
_KEPT_ROWS: Final = 1 << 20
"""Samples in all of them; a waveform may have more."""
_GRAINS: Final = (1, 10, 100, 1000, 10_000)
"""Ticks that may count as one; all divide a step."""
_EARLY_S: Final = 1e-9
"""By so much a sample may lie before the moment up to which the circuit was followed: times are rounded."""


class Running(Protocol):
    """A system with a state that goes on from where it is.

    Attributes:
        state_v: Its state, shape `(1, state_size)`, in V.
    """

    state_v: Tensor

    def run(self, volts: Tensor, steps: tuple[int, int], cut: Cut, period_s: float) -> Tensor:
        """Run steps of a waveform that are all cut alike, from the present state on.

        Args:
            volts: The waveform, shape `(n, n_in)`, in V; its last row stays.
            steps: The first step and the one after the last.
            cut: How each is cut.
            period_s: Length of a whole step in s.

        Returns:
            The outputs in V, shape `(n_steps, n_samples, n_out)`.
        """
        ...


@dataclass(frozen=True)
class Whereabouts:
    """How far a circuit was followed, and its state then, shape `(1, state_size)`."""

    known_s: float
    state_v: Tensor


class _SavedWaveform(TypedDict):
    start_s: float
    period_s: float
    volts: Tensor
    shown_v: Tensor
    token: int


class Course:
    """A circuit that is followed to where samples are asked for, and may be followed into the future.

    What will happen is foreseen from what the DAC is known to put out. Where that changes after all, the course goes
    back to the last moment that is past, and `revision` tells that what was foreseen is void.

    Mutable: `put`, `stop`, `foresee`, `rewind` and `restore` change it; they may be called from several threads.

    Args:
        name: Of the board, for the messages.
        circuit: At rest.
        first: What drives it now.
        clock: The bench's clock.
    """

    def __init__(self, name: str, circuit: Running, first: Waveform, clock: Clock) -> None:
        self._name, self._circuit, self._clock = name, circuit, clock
        self._lock = threading.RLock()
        self._waveforms = Waveforms(first)
        self._known_s = first.start_s
        self._past = Whereabouts(first.start_s, circuit.state_v)
        self.revision = 0
        """Grows when something is changed that was foreseen."""

    # What drives it

    def put(self, waveform: Waveform) -> None:
        """Drive it with a waveform; earlier ones that would have begun later never do."""
        with self._lock:
            self._change(waveform.start_s)
            self._waveforms.put(waveform)
            while len(self._waveforms) > _KEPT or self._waveforms.n_rows > _KEPT_ROWS:
                second = next(after for k, after in enumerate(self._waveforms) if k == 1)
                with torch.inference_mode():
                    list(self._follow(np.empty(0), second.start_s))
                self._past = Whereabouts(self._known_s, self._circuit.state_v)
                self._waveforms.forget(second.start_s)

    def stop(self, time_s: float) -> None:
        """Hold from a moment on what drives it then."""
        with self._lock:
            self._change(time_s)
            self._waveforms.stop(time_s)

    def waveform_at(self, time_s: float) -> Waveform:
        """Return what drives it at a moment.

        Raises:
            AcquisitionError: That is no longer known.
        """
        with self._lock:
            found = self._waveforms.at(time_s)
        if found is None:
            raise AcquisitionError(f"{self._name}: the inputs at {time_s:g} s are no longer known; ask sooner")
        return found

    def tokens_between(self, begin_s: float, end_s: float) -> tuple[tuple[int, float], ...]:
        """Return the setpoints that drive it in a stretch of time, in their order, and for how many s each."""
        tokens: list[int] = []
        seconds: list[float] = []
        with self._lock:
            for waveform, until_s in self._waveforms.between(begin_s, end_s):
                if not tokens or tokens[-1] != waveform.token:
                    tokens.append(waveform.token)
                    seconds.append(0.0)
                seconds[-1] += until_s - begin_s
                begin_s = until_s
        return tuple(zip(tokens, seconds, strict=True))

    # Where it goes

    def foresee(self, times_s: Times) -> Tensor:
        """Return the circuit's outputs at increasing times in V, shape `(n, n_out)`, as things stand.

        Raises:
            AcquisitionError: A time lies before what was foreseen already.
            DeviceError: The circuit has run away.
        """
        with self._lock:
            if times_s[0] < self._known_s - _EARLY_S:
                raise AcquisitionError(
                    f"{self._name}: samples from {times_s[0]:g} s on are asked for, the circuit has been followed to "
                    f"{self._known_s:g} s already and does not run backwards; read records in the order of time"
                )
            before = Whereabouts(self._known_s, self._circuit.state_v)
            if self._known_s <= self._clock.now_s():
                self._past = before
                self._waveforms.forget(self._known_s)
            try:
                with torch.inference_mode():
                    samples = torch.cat(list(self._follow(times_s, float(times_s[-1]))))
                if not bool(torch.isfinite(self._circuit.state_v).all()):
                    raise DeviceError(
                        f"{self._name}: the circuit has run away; drive it less, or choose a `cubic` of at least 0"
                    )
            except BaseException:  # Ctrl-C between two stretches included
                self._known_s, self._circuit.state_v = before.known_s, before.state_v
                raise
        return samples.clone()

    def rewind(self, time_s: float) -> None:
        """Forget what was foreseen beyond a moment."""
        with self._lock:
            if self._known_s > time_s + _EARLY_S:
                self._known_s, self._circuit.state_v = self._past.known_s, self._past.state_v
                self.revision += 1

    def _change(self, time_s: float) -> None:
        """Make sure that a moment is still open."""
        # before the last moment that is past nothing can be undone: the change shows from then on
        self.rewind(max(time_s, self._past.known_s))

    def _follow(self, times_s: Times, end_s: float) -> Iterator[Tensor]:
        """Run the circuit to `end_s` and yield the outputs at times up to then, in pieces of shape `(n, n_out)`."""
        taken = 0
        for waveform, stop_s in self._waveforms.between(self._known_s, end_s):
            last = stop_s == end_s

            def ticks(moments_s: Times, waveform: Waveform = waveform) -> npt.NDArray[np.int64]:
                grain = _grain(waveform)
                grains = np.rint((moments_s - waveform.start_s) / waveform.period_s * (TICKS // grain))
                return grains.astype(np.int64) * grain

            begin, end = (int(t) for t in ticks(np.array([max(self._known_s, waveform.start_s), stop_s])))
            # a sample that rounding has put onto the very beginning is taken one tick later
            samples = np.maximum(ticks(times_s[taken:]), begin + 1)
            samples = samples if last else samples[: np.searchsorted(samples, end, side="right")]
            taken += len(samples)
            for step, n_steps, cut in cut_steps(begin, max(end, int(samples[-1])) if len(samples) else end, samples):
                rows = (step, step + n_steps)
                yield self._circuit.run(waveform.volts, rows, cut, waveform.period_s).flatten(0, 1)
            self._known_s = max(self._known_s, stop_s)

    # What a later reading depends on

    def state(self) -> dict[str, object]:
        """Return everything that its future depends on, as things stand."""
        with self._lock:
            self.rewind(self._clock.now_s())
            self._waveforms.forget(self._known_s)
            waveforms = [
                {
                    "start_s": w.start_s, "period_s": w.period_s, "volts": w.volts.clone(),
                    "shown_v": torch.as_tensor(w.shown_v).clone(), "token": w.token,
                }
                for w in self._waveforms
            ]  # fmt: skip
            return {"circuit_v": self._circuit.state_v.clone(), "known_s": self._known_s, "waveforms": waveforms}

    def restore(self, state: dict[str, object]) -> None:
        """Go back to what `state` returned."""
        with self._lock:
            circuit = cast(Tensor, state["circuit_v"])
            if circuit.shape != self._circuit.state_v.shape:
                raise DeviceError(
                    f"{self._name}: the saved state is that of a circuit with {circuit.shape[-1]} variables, this one "
                    f"has {self._circuit.state_v.shape[-1]}; start a new run"
                )
            known_s = cast(float, state["known_s"])
            self._circuit.state_v = circuit.to(self._circuit.state_v).clone()
            self._known_s, self._past = known_s, Whereabouts(known_s, self._circuit.state_v)
            self.revision += 1
            first, *later = [
                Waveform(
                    w["start_s"], w["period_s"], w["volts"].to(self._circuit.state_v).clone(),
                    w["shown_v"].numpy().copy(), w.get("token", UNNUMBERED),
                )
                for w in cast("list[_SavedWaveform]", state["waveforms"])
            ]  # fmt: skip
            self._waveforms = Waveforms(first)
            for waveform in later:
                self._waveforms.put(waveform)


def _grain(waveform: Waveform) -> int:
    """Return how many ticks are one, because the clock does not tell them apart.

    A clock that has run for weeks is rounded to 1e-10 s. Without this, samples at the same place in each step would
    seem to be at places of their own, and no two steps could be computed together.
    """
    doubt = 8 * float(np.spacing(abs(waveform.start_s))) / waveform.period_s * TICKS
    return next((grain for grain in _GRAINS if grain >= doubt), _GRAINS[-1])
