"""Who an instrument says it is."""

from dataclasses import dataclass, fields

from pnnlab.errors import IdentityError
from pnnlab.quantities import FrozenModel

__all__ = ["ExpectedIdentity", "Identity"]


@dataclass(frozen=True)
class Identity:
    """What an opened device reports about itself; an empty text means that it does not tell."""

    vendor: str
    model: str
    serial: str
    firmware: str = ""


class ExpectedIdentity(FrozenModel):
    """What the bench file expects of a device; what it leaves out is not checked."""

    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None

    def check(self, found: Identity, *, device: str) -> None:
        """Compare with what the device reports.

        Raises:
            IdentityError: Another instrument answered.
        """
        wrong = [
            f"{field.name} is {getattr(found, field.name)!r}, the bench file expects {expected!r}"
            for field in fields(found)
            if (expected := getattr(self, field.name)) is not None and expected != getattr(found, field.name)
        ]
        if wrong:
            raise IdentityError(
                f"{device}: another instrument answered: {'; '.join(wrong)}; "
                "check the cabling or correct `identity` in the bench file"
            )
