"""The acceptance table: one module a group of rows; a module is found by its `ROWS`."""

import importlib
import pkgutil
from collections.abc import Mapping

from scripts.acceptance._row import Finding, MissingFileError, Row, data_file

__all__ = ["Finding", "MissingFileError", "Row", "data_file", "groups"]


def groups() -> Mapping[str, tuple[Row, ...]]:
    """Return all rows by their group, which is the module that they stand in.

    Raises:
        ValueError: Two rows have one name, or a row has that of a group.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    found: dict[str, tuple[Row, ...]] = {name: importlib.import_module(f"{__name__}.{name}").ROWS for name in names}
    taken = [*found, *(row.name for rows in found.values() for row in rows)]
    if twice := sorted({name for name in taken if taken.count(name) > 1}):
        raise ValueError(f"acceptance: {', '.join(twice)} named twice; names of rows and groups must differ")
    return found
