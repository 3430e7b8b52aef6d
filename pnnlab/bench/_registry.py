"""Drivers and plants by the name that a bench file gives them."""

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, distribution, entry_points, packages_distributions
from operator import attrgetter
from typing import Final, Protocol, TypeGuard

from pnnlab.bench._names import BenchLookupError, suggest
from pnnlab.bench._nodes import shown
from pnnlab.devices import Clock, Device, DeviceOptions, Plant
from pnnlab.quantities import FrozenModel

__all__ = [
    "DRIVERS",
    "PLANTS",
    "InstalledDriver",
    "PlantClass",
    "distribution_of",
    "find_driver",
    "find_plant",
    "installed_drivers",
    "installed_plants",
    "target_of",
]

DRIVERS: Final = "pnnlab.drivers"
"""Entry-point group of the classes that give instruments their roles."""
PLANTS: Final = "pnnlab.plants"
"""Entry-point group of the simulated physics that joins simulated devices."""

_EXTRA: Final = re.compile(r"""^([A-Za-z0-9._-]+).*;.*\bextra\s*==\s*['"]([^'"]+)['"]""")


class PlantClass(Protocol):
    """What a class must be that a bench file names as a plant."""

    Options: type[FrozenModel]
    __module__: str
    __qualname__: str

    def __call__(self, name: str, options: FrozenModel, *, clock: Clock, seed: int) -> Plant:
        """Build the plant."""
        ...


@dataclass(frozen=True, order=True)
class InstalledDriver:
    """A driver or plant that an installed distribution offers; it has not been imported.

    Attributes:
        name: What a bench file calls it.
        target: Where it is, as `module:Class`.
        distribution: Who offers it, with the version.
    """

    name: str
    target: str
    distribution: str


def installed_drivers() -> tuple[InstalledDriver, ...]:
    """Return the drivers that are installed, by name; a name claimed twice stands there twice."""
    return _installed(DRIVERS)


def installed_plants() -> tuple[InstalledDriver, ...]:
    """Return the plants that are installed; see `installed_drivers`."""
    return _installed(PLANTS)


def find_driver(name: str) -> type[Device]:
    """Return a driver's class.

    Args:
        name: Its name in the entry-point group `pnnlab.drivers`, or `module:Class`.

    Raises:
        BenchLookupError: There is none, two distributions claim the name, or what is there is no driver.
    """
    found = _load(name, DRIVERS, "driver")
    if not _is_driver(found):
        raise BenchLookupError(
            f"driver {shown(name)} is no subclass of Device", "derive it from a role in pnnlab.devices"
        )
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise BenchLookupError(
            f"driver {shown(name)} is not finished: it lacks {', '.join(missing)}", "write these methods"
        )
    if not (inspect.isclass(found.Options) and issubclass(found.Options, DeviceOptions)):
        raise BenchLookupError(f"driver {shown(name)} has Options that are none", "derive them from DeviceOptions")
    return found


def find_plant(name: str) -> PlantClass:
    """Return a plant's class.

    Args:
        name: Its name in the entry-point group `pnnlab.plants`, or `module:Class`.

    Raises:
        BenchLookupError: There is none, two distributions claim the name, or what is there is no plant.
    """
    found = _load(name, PLANTS, "plant")
    if not _is_plant(found):
        raise BenchLookupError(
            f"plant {shown(name)} does not have a plant's shape: Options, (name, options, *, clock, seed), "
            "reseed(seed), state(), restore(state)",
            "complete it; see Plant in pnnlab.devices",
        )
    return found


def target_of(found: type[Device] | PlantClass) -> str:
    """Return where a class is, as `module:Class`."""
    return f"{found.__module__}:{found.__qualname__}"


def distribution_of(found: type[Device] | PlantClass) -> str | None:
    """Return name and version of the distribution that a class came with; `None` for a file that is none's."""
    package = found.__module__.partition(".")[0]
    for entry in (*entry_points(group=DRIVERS), *entry_points(group=PLANTS)):
        if entry.module.partition(".")[0] == package:
            return _who(entry)
    return _owner(package)


def _installed(group: str) -> tuple[InstalledDriver, ...]:
    return tuple(sorted(InstalledDriver(entry.name, entry.value, _who(entry)) for entry in entry_points(group=group)))


def _who(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unnamed distribution"


@cache
def _owner(package: str) -> str | None:
    """Return who installed a package; slow, for it reads the file lists of all that is installed."""
    # an editable install does not list its files, so this finds only what was installed as a copy
    owners = packages_distributions().get(package)
    return f"{owners[0]} {distribution(owners[0]).version}" if owners else None


def _load(name: str, group: str, noun: str) -> object:
    if ":" in name:
        return _import(name, name, noun, None)
    entries = list(entry_points(group=group))
    claims = {(_who(entry), entry.value): entry for entry in entries if entry.name == name}
    if not claims:
        known = suggest(name, (entry.name for entry in entries), noun=f"installed {noun}s")
        own = "" if known.endswith("?") else "; one of your own is written 'module:Class'"
        raise BenchLookupError(f"no {noun} is named {shown(name)}", known + own)
    if len(claims) > 1:
        who = " and ".join(sorted(f"{dist} ({target})" for dist, target in claims))
        raise BenchLookupError(f"{noun} {shown(name)} is claimed by {who}", "uninstall one, or write 'module:Class'")
    entry = next(iter(claims.values()))
    return _import(entry.value, name, noun, entry)


def _import(target: str, name: str, noun: str, entry: EntryPoint | None) -> object:
    module_name, _, path = target.partition(" [")[0].strip().partition(":")
    parts = [*module_name.split("."), *path.split(".")]
    if not all(part.isidentifier() for part in parts):
        raise BenchLookupError(f"{noun} {shown(name)} is no 'module:Class'", "write it as 'my_lab.drivers:MySlm'")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise _not_importable(error, module_name, name, noun, entry) from error
    except (Exception, SystemExit) as error:
        # importing runs the driver's own code, which may raise anything
        raise BenchLookupError(
            f"{noun} {shown(name)} does not import: {type(error).__name__}: {error}",
            f"correct the module {module_name}",
        ) from error
    try:
        found: object = attrgetter(path)(module)
    except AttributeError as error:
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        raise BenchLookupError(
            f"{noun} {shown(name)}: the module {module_name} has no {path}", suggest(path, classes, noun="its classes")
        ) from error
    return found


def _not_importable(
    error: ModuleNotFoundError, module_name: str, name: str, noun: str, entry: EntryPoint | None
) -> BenchLookupError:
    missing = error.name or ""
    if f"{module_name}.".startswith(f"{missing}."):
        found = f"{noun} {shown(name)}: there is no module {missing!r}"
        return BenchLookupError(found, "correct it, install it, or put the folder of its file into PYTHONPATH")
    found = f"{noun} {shown(name)} does not import: it needs the module {missing!r}"
    extra = _extra_for(missing, module_name, entry)
    return BenchLookupError(found, f"install {extra}" if extra else f"install the package that provides {missing!r}")


def _extra_for(missing: str, module_name: str, entry: EntryPoint | None) -> str | None:
    """Return the extra that brings a missing module, as `pnnlab[santec]`."""
    package = module_name.partition(".")[0]
    everyone = (*entry_points(group=DRIVERS), *entry_points(group=PLANTS))
    owner = entry or next((other for other in everyone if other.module.partition(".")[0] == package), None)
    if owner is None or owner.dist is None:
        return None
    if owner.extras:
        return f"{owner.dist.name}[{','.join(owner.extras)}]"
    wanted = _normal(missing.partition(".")[0])
    for requirement in owner.dist.requires or ():
        match = _EXTRA.match(requirement)
        if match and _normal(match[1]) == wanted:
            return f"{owner.dist.name}[{match[2]}]"
    return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_driver(found: object) -> TypeGuard[type[Device]]:
    return inspect.isclass(found) and issubclass(found, Device)


def _is_plant(found: object) -> TypeGuard[PlantClass]:
    options = getattr(found, "Options", None)
    return (
        inspect.isclass(found)
        and not inspect.isabstract(found)
        and inspect.isclass(options)
        and issubclass(options, FrozenModel)
        and _takes(found, "name", options, clock=None, seed=0)
        and all(callable(getattr(found, method, None)) for method in ("reseed", "state", "restore"))
    )


def _takes(function: Callable[..., object], *args: object, **kwargs: object) -> bool:
    """Return whether a call with such arguments fits the signature."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return False
    return True
