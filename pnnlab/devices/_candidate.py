"""An instrument that a driver found and could open."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pnnlab.devices._identity import Identity
from pnnlab.devices._setting import SettingValue

__all__ = ["Candidate"]


@dataclass(frozen=True)
class Candidate:
    """An instrument that a driver found and could open.

    Attributes:
        identity: Who it says it is; what it does not tell is empty.
        options: The keys below `options:` of the bench file that open this one and no other.
        note: One line for people, such as what is still to be decided; may be empty.
    """

    identity: Identity
    options: Mapping[str, SettingValue] = field(default_factory=dict)
    note: str = ""
