"""The command `pnnlab methods`."""

from pnnlab.cli._options import JsonOption
from pnnlab.cli._terminal import print_json, print_table

__all__ = ["methods"]


def methods(*, as_json: JsonOption = False) -> None:
    """List the training methods."""
    from pnnlab.methods import METHODS

    if as_json:
        print_json(
            [{"name": name, "summary": m.summary, "needs_twin": m.needs_twin} for name, m in sorted(METHODS.items())]
        )
        return
    rows = [[name, m.summary, "yes" if m.needs_twin else "no"] for name, m in sorted(METHODS.items())]
    print_table(["method", "what it does", "needs a twin"], rows, folding=["what it does"])
