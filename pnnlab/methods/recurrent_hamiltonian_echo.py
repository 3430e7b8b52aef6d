"""Recurrent Hamiltonian echo learning: a driven run, and two nudged runs back through the same drive."""

from typing import ClassVar

from pydantic import Field

from pnnlab.methods._method import MethodOptions
from pnnlab.methods.hamiltonian_echo import HamiltonianEcho, HamiltonianEchoOptions

__all__ = ["RecurrentHamiltonianEcho", "RecurrentHamiltonianEchoOptions"]


class RecurrentHamiltonianEchoOptions(MethodOptions):
    """Options of the method `recurrent_hamiltonian_echo`.

    Attributes:
        epsilon: Largest nudge of each sample, in the system's unit (rad of a mode's phase).
    """

    epsilon: float = Field(default=0.05, gt=0)


class RecurrentHamiltonianEcho(HamiltonianEcho):
    """Gradients of a time-reversible wave that is driven all along (Pourcel and Ernoult 2025, arXiv 2506.05259).

    Inputs come as a series, and the loss may look at outputs all along. After a free run the state is turned round in
    time and meets the drive backwards, while each output nudges it at its own moment; once with the nudge, once with
    its opposite. Half the difference of what the energy's derivative gathered in both runs is the gradient, up to
    epsilon²: what the medium gathers on the way there is the same in both and drops out. A wave that gets all its input
    at once is a series of length one.
    """

    name: ClassVar[str] = "recurrent_hamiltonian_echo"
    summary: ClassVar[str] = "two nudged runs back through a driven system (Pourcel & Ernoult, arXiv 2506.05259, 2025)"
    Options: ClassVar[type[MethodOptions]] = RecurrentHamiltonianEchoOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        chosen = RecurrentHamiltonianEchoOptions() if options is None else options
        epsilon = chosen.model_dump()["epsilon"]
        super().__init__(HamiltonianEchoOptions(epsilon=epsilon, estimate="centred"))
