"""What every device shares: a life, an identity, limits, settings and a safe state."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, ParamSpec, Self, TypeVar, final

from pnnlab.devices._candidate import Candidate
from pnnlab.devices._clock import Clock
from pnnlab.devices._identity import ExpectedIdentity, Identity
from pnnlab.devices._lease import Lease
from pnnlab.devices._limits import UNLIMITED, Limits
from pnnlab.devices._setting import SettingValue
from pnnlab.devices._state import State
from pnnlab.devices._trigger import Trigger
from pnnlab.errors import (
    AbilityError,
    AcquisitionError,
    DeviceError,
    PnnlabError,
    SetpointError,
    StateError,
)
from pnnlab.quantities import FrozenModel

__all__ = ["Device", "DeviceOptions"]

_LOG = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class DeviceOptions(FrozenModel):
    """The keys below `options:` of a device in the bench file; each driver declares its own."""


class Device(ABC):
    """One instrument.

    A life runs closed → open → armed → open … → safe → closed. `arm_*` (declared by the role) prepares a run of
    steps, `start` lets it begin, `trigger` makes one step, `wait` returns when all steps are done, `disarm`
    ends it: armed once, triggered many times. A hook that fails puts the device into `FAULT`, from which
    only `close` leads out.

    Public methods are final: they check state, shape, limits and slew, then call the driver's hook (`_name`).
    A driver writes hooks only; it may trust what they are given.

    Args:
        name: The device's name in the bench file.
        options: An instance of the class's `Options`.
        clock: The bench's clock.
        limits: Limits of the bench file by quantity, on top of the driver's hard limits.
        expected: What the bench file says about the device's identity.
        plant: The simulated physics that a simulated device belongs to.
    """

    Options: ClassVar[type[DeviceOptions]] = DeviceOptions
    quantities: ClassVar[Mapping[str, str]] = {}
    """Quantities of the role that can be limited, with their SI units; several roles add up."""
    needs_plant: ClassVar[bool] = False
    """Simulated drivers: the bench file must name the plant."""
    holds_outputs: ClassVar[bool] = False
    """Whether outputs keep their value when the program that set them is gone; then a guard process looks after it."""
    joins_runs: ClassVar[bool] = False
    """Whether each role of the instrument has a run of its own: it may be armed, and setpoints written, while a run of
    another role is armed; one `start` begins all that are armed, and one `disarm` ends them."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Refuse a driver that overrides a final method: no driver can skip a limit."""
        super().__init_subclass__(**kwargs)
        for base in cls.__mro__[1:]:
            for name, member in vars(base).items():
                if getattr(member, "__final__", False) and name in vars(cls):
                    raise TypeError(
                        f"{cls.__name__} overrides the final method {name} of {base.__name__}; write _{name}"
                    )

    def __init__(
        self,
        name: str,
        options: DeviceOptions | None = None,
        *,
        clock: Clock,
        limits: Mapping[str, Limits] | None = None,
        expected: ExpectedIdentity | None = None,
        plant: object | None = None,
    ) -> None:
        self.name = name
        self.options = self.Options() if options is None else options
        self.clock = clock
        self.plant = plant
        self._bench_limits = dict(limits or {})
        self._limits: dict[str, Limits] = {}
        self._expected = expected or ExpectedIdentity()
        self._identity: Identity | None = None
        self._state = State.CLOSED
        self._armed_roles: set[type[object]] = set()
        self._moving = threading.RLock()  # a signal's answer may come while it is held
        self._tokens = 0
        self._lease = Lease(name)

    def __repr__(self) -> str:
        who = self._identity
        known = f" {who.vendor} {who.model} serial {who.serial}" if who else ""
        return f"<{type(self).__name__} {self.name!r}{known}, {self._state}>"

    # Before it is opened

    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        """Return the instruments that this driver could open now; a driver overrides it where it can look.

        It returns within seconds, changes no output and takes nothing away from who is using it. A missing SDK and
        hardware that is not there are no errors: nothing is found then.
        """
        return ()

    # Life

    @property
    def state(self) -> State:
        """Return where the device is in its life."""
        return self._state

    @property
    def identity(self) -> Identity:
        """Return who the device said it is when it was opened.

        Raises:
            StateError: It was never opened.
        """
        if self._identity is None:
            raise StateError(f"{self.name}: identity is known once the device has been opened")
        return self._identity

    @final
    def open(self) -> Self:
        """Connect, check the identity and the limits; nothing is written to an output.

        Raises:
            LeaseError: Another process uses the instrument; nothing was sent.
            IdentityError: Another instrument answered.
            SetpointError: The bench file's limits and the driver's hard limits have nothing in common.
            DeviceError: The instrument does not answer.
        """
        self._require(State.CLOSED)
        self._lease.claim(self._claims())
        try:
            self._call(self._open)
            identity = self._call(self._identify)
            self._expected.check(identity, device=self.name)
            if self._claims() and str(identity.serial).strip("0"):
                # one instrument may have several addresses
                self._lease.claim([f"{identity.vendor} {identity.model} serial {identity.serial}"])
            self._limits = self._joined_limits()
        except BaseException:
            self._release()
            raise
        self._identity = identity
        self._state = State.OPEN
        _LOG.info("%s: opened %s %s serial %s", self.name, identity.vendor, identity.model, identity.serial)
        return self

    @final
    def start(self) -> None:
        """Begin the armed run: internal steps run from now on, triggers are listened to."""
        self._require(State.ARMED)
        self._call(self._start)

    @final
    def trigger(self) -> None:
        """Make one step of a run armed with `Trigger.SOFTWARE`."""
        self._require(State.ARMED)
        self._call(self._trigger)

    @final
    def wait(self, timeout_s: float) -> None:
        """Return when all armed steps are done.

        Raises:
            AcquisitionError: They are not done within `timeout_s`.
        """
        self._require(State.ARMED)
        self._call(self._wait, timeout_s)

    @final
    def disarm(self) -> None:
        """End the armed run, whether done or not; does nothing where none is armed."""
        if self._state is State.ARMED:
            self._call(self._disarm)
            self._outputs_moved(by_run=True)
            self._armed_roles.clear()
            self._move(State.ARMED, State.OPEN)

    @final
    def make_safe(self) -> None:
        """Put every output into its safe state; nothing can be written until `resume`.

        A device in fault stays in fault: it is asked for its safe state, and only `close` leads out. May be called
        while another thread uses the device: that thread's next call is refused.
        """
        with self._moving:
            before = self._state
            if before in (State.CLOSED, State.SAFE):
                return
            self._armed_roles.clear()
            if before is not State.FAULT:
                self._state = State.SAFE
        try:
            if before is State.ARMED:
                self._disarm()
        finally:
            try:
                self._call(self._make_safe)
            except BaseException:
                self._move(State.SAFE, before)
                raise
            finally:
                self._outputs_moved(by_run=False)

    @final
    def resume(self) -> None:
        """Allow writing again after `make_safe`; the outputs stay as they are."""
        self._require(State.SAFE)
        self._state = State.OPEN

    @final
    def close(self) -> None:
        """Make the outputs safe and let the instrument go; may be called twice."""
        if self._state is State.CLOSED:
            return
        try:
            self.make_safe()
        finally:
            self._release()

    def __enter__(self) -> Self:
        return self if self._state is State.OPEN else self.open()

    def __exit__(self, *exception: object) -> None:
        self.close()

    # What it is set to

    @final
    def settings(self) -> dict[str, SettingValue]:
        """Return a snapshot of everything that decides how the device behaves, SI units."""
        self._require(State.OPEN, State.ARMED, State.SAFE)
        return self._call(self._settings)

    @final
    def limits(self, quantity: str) -> Limits:
        """Return the limits in force: the driver's hard ones and the bench file's together."""
        return self._limits.get(quantity, UNLIMITED)

    # Hooks of a driver

    @abstractmethod
    def _open(self) -> None:
        """Connect; change no output."""

    @abstractmethod
    def _identify(self) -> Identity:
        """Ask the instrument who it is."""

    @abstractmethod
    def _close(self) -> None:
        """Let the instrument go; also called after a half-done `_open`."""

    @abstractmethod
    def _make_safe(self) -> None:
        """Put every output into its safe state."""

    def _claims(self) -> Sequence[str]:
        """Return what opening takes for this process alone: the port, resource or SDK handle of the instrument.

        Every driver of a real instrument has some; nothing is claimed for what has no hardware.
        """
        return ()

    def _hard_limits(self) -> Mapping[str, Limits]:
        """Return what the instrument itself allows, by quantity."""
        return {}

    def _settings(self) -> dict[str, SettingValue]:
        """Read back what decides how the device behaves."""
        return {}

    def _start(self) -> None:
        raise self._unable("start a run")

    def _trigger(self) -> None:
        raise self._unable("be triggered by software")

    def _wait(self, timeout_s: float) -> None:
        raise self._unable("wait for a run")

    def _disarm(self) -> None:
        raise self._unable("end a run")

    # For the roles

    def _outputs_moved(self, *, by_run: bool) -> None:  # noqa: B027 (most roles keep no account)
        """Take note that outputs may have moved without a write: by an armed run, or into their safe state."""

    def _require_free(self, role: type[object]) -> None:
        """Refuse what a role cannot do while a run is armed: its own, or any where the roles share their runs."""
        if not (self.joins_runs and self._state is State.ARMED and role not in self._armed_roles):
            self._require(State.OPEN)

    def _arm(self, role: type[object], hook: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Prepare a role's run of steps by the driver's hook; open → armed."""
        result = self._call(hook, *args, **kwargs)
        with self._moving:
            armed = self._move(State.OPEN, State.ARMED) or (self.joins_runs and self._state is State.ARMED)
            if armed:
                self._armed_roles.add(role)
        if not armed:
            self._call(self._disarm)  # made safe by another thread meanwhile
            self._require(State.OPEN)
        return result

    def _move(self, before: State, after: State) -> bool:
        """Move on in the device's life unless another thread has changed it meanwhile; return whether it moved."""
        with self._moving:
            moved = self._state is before
            if moved:
                self._state = after
        return moved

    def _call(self, hook: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a driver's hook; what it raises on the way decides whether the device is still to be trusted."""
        try:
            return hook(*args, **kwargs)
        except (SetpointError, AbilityError, AcquisitionError, StateError):
            raise  # the device did nothing, or only a reading is missing: its state is known
        except PnnlabError:
            self._state = State.FAULT
            raise
        except Exception as error:
            self._state = State.FAULT
            raise DeviceError(
                f"{self.name}: {hook.__name__.lstrip('_')} failed with {type(error).__name__}: {error}; "
                "the device is in fault: close it, look at the instrument and open it again"
            ) from error

    def _require(self, *states: State) -> None:
        if self._state not in states:
            hints = {
                State.CLOSED: "open it first",
                State.SAFE: "its outputs were made safe: call resume() to write again",
                State.FAULT: "it failed before: close it, look at the instrument and open it again",
                State.ARMED: "a run is armed: disarm() it first",
                State.OPEN: "arm it first" if State.ARMED in states else "close it first",
            }
            raise StateError(
                f"{self.name} is {self._state}, this call needs {' or '.join(states)}; {hints[self._state]}"
            )

    def _require_trigger(self, trigger: Trigger, able: frozenset[Trigger]) -> None:
        if trigger not in able:
            raise AbilityError(
                f"{self.name}: {trigger} triggers are asked for, the device has {', '.join(sorted(able)) or 'none'}"
            )

    def _next_tokens(self, count: int) -> range:
        first = self._tokens
        self._tokens += count
        return range(first, first + count)

    def _unable(self, what: str) -> AbilityError:
        return AbilityError(f"{self.name}: {type(self).__name__} cannot {what}")

    def _joined_limits(self) -> dict[str, Limits]:
        hard = self._hard_limits()
        joined: dict[str, Limits] = {}
        for quantity in {*hard, *self._bench_limits}:
            ours, theirs = self._bench_limits.get(quantity, UNLIMITED), hard.get(quantity, UNLIMITED)
            both = ours.intersect(theirs)
            if both.low > both.high:
                raise SetpointError(
                    f"{self.name}: the bench file allows {quantity} {ours.low:g} to {ours.high:g}, the instrument "
                    f"{theirs.low:g} to {theirs.high:g}: nothing is left; correct `limits` in the bench file"
                )
            joined[quantity] = both
        return joined

    def _release(self) -> None:
        try:
            self._close()
        finally:
            self._lease.release()
            self._state = State.CLOSED
