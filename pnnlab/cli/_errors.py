"""What an error means to the caller of the command line: one message and an exit code."""

import logging
from typing import Final

import typer

from pnnlab.errors import BenchError, DeviceError, PnnlabError

__all__ = ["DEVICE_TROUBLE", "INTERRUPTED", "UNEXPECTED", "WRONG_INPUT", "report"]

_LOG = logging.getLogger(__name__)

UNEXPECTED: Final = 1
WRONG_INPUT: Final = 2
"""Also what a wrong option gives; no output was changed by it."""
DEVICE_TROUBLE: Final = 3
INTERRUPTED: Final = 130
"""What a shell expects after Ctrl-C: 128 and the signal's number."""


def report(error: Exception) -> int:
    """Tell an error on stderr and return the exit code that goes with it."""
    if isinstance(error, PnnlabError):
        _LOG.debug("traceback of this error", exc_info=error)
        typer.echo(f"Error: {error}", err=True)
        return DEVICE_TROUBLE if isinstance(error, BenchError | DeviceError) else WRONG_INPUT
    _LOG.info("traceback of this error", exc_info=error)
    if isinstance(error, OSError):
        typer.echo(f"Error: the operating system refused: {error}", err=True)
    else:
        kind = type(error).__name__
        typer.echo(f"Error: this is a bug in pnnlab: {kind}: {error}; `pnnlab -v ...` shows where", err=True)
    return UNEXPECTED
