"""The command line: one file a command group; what it does is done by the packages below (no torch at the start)."""

from pnnlab.cli._app import main

__all__ = ["main"]
