"""The log as the command line shows it."""

import logging
import sys

__all__ = ["show_log"]


class _StderrHandler(logging.Handler):
    """Writes to whatever stderr is at that moment: while a progress bar is shown, it is above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)  # a log that cannot be written must not end a training


def show_log(verbose: int) -> None:
    """Send warnings of all libraries to stderr, and from pnnlab and its drivers also what `verbose` asks for.

    Args:
        verbose: 0 for warnings, 1 for what is done, 2 for everything.
    """
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s (%(name)s)"))
    logging.basicConfig(handlers=[handler])
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    for ours in ("pnnlab", "pnnlab_drivers"):
        logging.getLogger(ours).setLevel(level)
    # it tells as an error of its own what the exception tells already
    logging.getLogger("ignite").setLevel(logging.CRITICAL)
