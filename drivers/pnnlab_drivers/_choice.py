"""Which of the connected instruments a bench file means."""

from collections.abc import Sequence
from dataclasses import fields

from pnnlab.devices import ExpectedIdentity, Identity
from pnnlab.errors import DeviceError, IdentityError

__all__ = ["choose"]


def choose(found: Sequence[Identity], expected: ExpectedIdentity, *, device: str, kind: str) -> int:
    """Return the number of the one instrument that fits the identity in the bench file; nothing is sent.

    Args:
        found: Who is connected; what is not known before opening is empty.
        expected: What the bench file says.
        device: The device's name in the bench file.
        kind: What it is, as `"Basler camera"`.

    Raises:
        IdentityError: Others are connected, not this one.
        DeviceError: None is connected, or several fit.
    """
    names = [field.name for field in fields(Identity)]
    wanted = {name: value for name in names if (value := getattr(expected, name)) is not None}
    fits = [
        k for k, one in enumerate(found)
        if all(getattr(one, name) in ("", value) for name, value in wanted.items())
    ]  # fmt: skip
    if len(fits) == 1:
        return fits[0]
    there = ", ".join(f"{one.model} serial {one.serial or 'unknown'}" for one in found)
    if not found:
        raise DeviceError(
            f"{device}: no {kind} is found; look at its cable, its power and, on a network, its address and this "
            "computer's"
        )
    if not fits:
        asked = ", ".join(f"{name} {value!r}" for name, value in wanted.items())
        raise IdentityError(
            f"{device}: another instrument answered: the {kind} with {asked} is asked for, connected are {there}; "
            "connect it or correct `identity` in the bench file; nothing was sent"
        )
    raise DeviceError(
        f"{device}: {len(fits)} {kind}s fit ({there}); write the `serial` of one below `identity` in the bench file; "
        "nothing was sent"
    )
