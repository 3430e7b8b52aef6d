"""Systems that methods of scattering can work on."""

from pnnlab.errors import CapabilityError
from pnnlab.systems import ModeNetwork, System

__all__ = ["mode_network"]


def mode_network(system: System, method: str) -> ModeNetwork:
    """Return a system as the network of modes that it is.

    Raises:
        CapabilityError: It is none.
    """
    if not isinstance(system, ModeNetwork):
        raise CapabilityError(
            f"{system.name}: {method} injects fields at every mode and reads what it leaks, which "
            f"{type(system).__name__} does not know; use a system of the kind resonators or kerr-modes"
        )
    return system
