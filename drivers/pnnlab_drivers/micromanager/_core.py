"""A device of Micro-Manager's core, by which all that Micro-Manager has an adapter for is reached."""

import itertools
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import Field, model_validator

from pnnlab.devices import DeviceOptions
from pnnlab.errors import DeviceError, SetpointError
from pnnlab_drivers._sdk import vendor_module

__all__ = ["CoreDevice", "MicroManagerOptions", "Properties"]

R = TypeVar("R")
Properties = dict[str, bool | int | float | str]


@dataclass
class _Shared:
    """The core of this process, and what is loaded into it."""

    core: Any
    config: Path | None = None
    labels: list[str] = field(default_factory=list)


_SHARED: Final[dict[str, _Shared]] = {}
"""One core of each kind for the life of the process: adapters keep threads and state of their own, and a second core
beside them, or one that is deleted, ends the process (tried with version 12.5.1)."""
_SHARING: Final = threading.Lock()


class MicroManagerOptions(DeviceOptions):
    """The options that all devices of Micro-Manager have.

    A device is named by `library` and `device` as Micro-Manager's hardware wizard lists it, or by `config` and `label`
    where a configuration file is there; devices of one file share what it loads (hubs, serial ports).

    Attributes:
        adapters: The folder of Micro-Manager's device adapters, as `C:/Program Files/Micro-Manager-2.0`.
        library: The device adapter, as `DemoCamera`.
        device: The device in it, as `DCam`.
        hub: The hub in the same adapter that the device belongs to, if it has one.
        before: Properties that are set before the device starts, as a port or a serial number.
        properties: Properties that are set after that, in their order; they are read back.
        config: A configuration file of Micro-Manager.
        label: What that file calls the device.
        core: `pymmcore-plus` also knows devices that are written in Python.
    """

    adapters: Path | None = None
    library: str = ""
    device: str = ""
    hub: str = ""
    before: Properties = Field(default_factory=dict)
    properties: Properties = Field(default_factory=dict)
    config: Path | None = None
    label: str = ""
    core: Literal["pymmcore", "pymmcore-plus"] = "pymmcore"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_file, by_name = self.config is not None and bool(self.label), bool(self.library and self.device)
        if by_file == by_name or (self.config is None) != (not self.label):
            raise ValueError("name the device either by `library` and `device`, or by `config` and `label`")
        return self


class CoreDevice:
    """One device of a core, loaded and ready; everything that the core refuses is told as what was asked of it.

    Mutable: `close` lets it go.

    Args:
        device: The device's name in the bench file.
        options: Which one it is.
    """

    def __init__(self, device: str, options: MicroManagerOptions) -> None:
        self._device, self._options = device, options
        with _SHARING:
            self._shared = _shared_core(device, options)
            self.core = self._shared.core
            taken = self.core.getLoadedDevices()
            self.label = options.label or next(n for k in itertools.count() if (n := f"{device}{k or ''}") not in taken)
            self._shared.labels.append(self.label)
        try:
            if options.config is None:
                self._load()
            for name, value in options.properties.items():
                self.set_property(name, value)
        except BaseException:
            self.close()
            raise

    def ask(self, call: Callable[..., R], *args: object) -> R:
        """Return what a call of the core returns.

        Raises:
            DeviceError: The core, or the device's adapter, refuses.
        """
        try:
            return call(*args)
        except Exception as error:  # the core raises RuntimeError, ValueError and others
            what = getattr(call, "__name__", "a call")
            told = ", ".join(map(repr, args[:3]))
            raise DeviceError(
                f"{self._device}: Micro-Manager does not do {what}({told}): {error}; look at the instrument and at its "
                "entry in the bench file, close the device and open it again"
            ) from error

    def has(self, name: str) -> bool:
        """Return whether the device has a property."""
        return bool(self.core.hasProperty(self.label, name))

    def read_property(self, name: str) -> str:
        """Return a property as the core tells it."""
        return str(self.ask(self.core.getProperty, self.label, name))

    def limits(self, name: str) -> tuple[float, float]:
        """Return lowest and highest value of a property; infinite where it has no limits."""
        core, label = self.core, self.label
        if not self.has(name) or not core.hasPropertyLimits(label, name):
            return -math.inf, math.inf
        return float(core.getPropertyLowerLimit(label, name)), float(core.getPropertyUpperLimit(label, name))

    def set_property(self, name: str, value: bool | int | float | str) -> None:
        """Set a property and read it back.

        Raises:
            SetpointError: The device does not have it, or not so; nothing was sent.
            DeviceError: It was taken without a word, and is something else.
        """
        text = str(int(value)) if isinstance(value, bool) else str(value)
        allowed = self.core.getAllowedPropertyValues(self.label, name) if self.has(name) else ()
        low, high = self.limits(name)
        refused = ""
        if not self.has(name):
            refused = f"it has {', '.join(self.core.getDevicePropertyNames(self.label))}"
        elif allowed and not any(_same(text, each) for each in allowed):
            refused = f"allowed are {', '.join(allowed)}"
        elif not isinstance(value, str) and not low <= value <= high:
            refused = f"allowed is {low:g} to {high:g}"
        if refused:
            raise SetpointError(
                f"{self._device}: the property {name!r} = {text} is asked for, {refused}; nothing was sent"
            )
        self.ask(self.core.setProperty, self.label, name, text)
        found = self.read_property(name)
        if not _same(text, found):
            raise DeviceError(
                f"{self._device}: the property {name!r} was set to {text} without a word and is {found}; ask for a "
                "value that it keeps"
            )

    def told(self, names: Mapping[str, object]) -> str:
        """Return properties as one line, for the record."""
        return "; ".join(f"{name}={self.read_property(name)}" for name in names)

    def close(self) -> None:
        """Let the device go; what others use stays loaded."""
        with _SHARING:
            shared, loaded = self._shared, self.core.getLoadedDevices()
            shared.labels.remove(self.label)
            if not shared.labels:
                self.core.unloadAllDevices()
                shared.config = None
            elif self._options.config is None:
                for label in (self.label, self._hub):
                    if label in loaded:
                        self.core.unloadDevice(label)

    @property
    def _hub(self) -> str:
        return f"{self.label} hub"

    def _load(self) -> None:
        core, options = self.core, self._options
        if options.hub:
            self.ask(core.loadDevice, self._hub, options.library, options.hub)
            self.ask(core.initializeDevice, self._hub)
        self.ask(core.loadDevice, self.label, options.library, options.device)
        for name, value in options.before.items():
            self.set_property(name, value)
        if options.hub:
            self.ask(core.setParentLabel, self.label, self._hub)
        self.ask(core.initializeDevice, self.label)


def _shared_core(device: str, options: MicroManagerOptions) -> _Shared:
    """Return the core of this process, with the configuration file loaded if there is one."""
    if options.adapters is not None and not options.adapters.is_dir():
        raise DeviceError(
            f"{device}: there is no folder {options.adapters}; write where Micro-Manager is installed into `adapters` "
            "in the bench file; nothing was sent"
        )
    if options.core not in _SHARED:
        if options.core == "pymmcore":
            core = vendor_module("pymmcore", device=device, extra="micromanager").CMMCore()
        else:
            core = vendor_module("pymmcore_plus.experimental.unicore", device=device, extra="micromanager").UniMMCore()
        _SHARED[options.core] = _Shared(core)
    shared = _SHARED[options.core]
    core = shared.core
    if options.adapters is not None:
        known = list(core.getDeviceAdapterSearchPaths())
        core.setDeviceAdapterSearchPaths(list(dict.fromkeys([str(options.adapters), *known])))
    if options.config is not None and shared.config != options.config.resolve():
        _load_config(device, shared, options.config)
    if options.config is not None and options.label not in core.getLoadedDevices():
        raise DeviceError(
            f"{device}: {options.config} has no device {options.label!r}, it has "
            f"{', '.join(core.getLoadedDevices())}; correct `label` in the bench file"
        )
    return shared


def _load_config(device: str, shared: _Shared, config: Path) -> None:
    if shared.labels:
        raise DeviceError(
            f"{device}: {config} cannot be loaded while {', '.join(shared.labels)} of {shared.config or 'no file'} are "
            "open: Micro-Manager has one configuration at a time; name all its devices by one file, or none"
        )
    try:
        shared.core.loadSystemConfiguration(str(config.resolve()))
    except Exception as error:
        shared.core.unloadAllDevices()
        raise DeviceError(
            f"{device}: Micro-Manager does not load {config}: {error}; open it in Micro-Manager to see what is wrong"
        ) from error
    shared.config = config.resolve()


def _same(asked: str, found: str) -> bool:
    try:
        return math.isclose(float(asked), float(found), rel_tol=1e-4, abs_tol=1e-9)
    except ValueError:
        return asked == found
