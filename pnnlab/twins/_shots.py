"""Recorded shots: what a twin learns from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
import xarray
from torch import Tensor

from pnnlab.errors import TwinError

__all__ = ["ShotSet"]


@dataclass(frozen=True)
class ShotSet:
    """Realised drives and measured outputs.

    Attributes:
        drive: One tensor an actuator, shape `(n, ...)`; a drive that all shots of a batch shared is repeated.
        y: Normalised outputs, shape `(n, n_out)`.
        states: What was read inside, one tensor a place, shape `(n, ...)`.
    """

    drive: tuple[Tensor, ...]
    y: Tensor
    states: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: Tensor | slice) -> "ShotSet":
        return ShotSet(tuple(d[index] for d in self.drive), self.y[index], tuple(s[index] for s in self.states))

    @classmethod
    def join(cls, parts: list["ShotSet"]) -> Self:
        """Return the shots of several sets as one."""
        if not parts:
            raise TwinError("no shots were recorded; measure some before fitting a twin")
        drives, states = (zip(*of, strict=True) for of in ((p.drive for p in parts), (p.states for p in parts)))
        return cls(
            tuple(torch.cat(d) for d in drives), torch.cat([part.y for part in parts]),
            tuple(torch.cat(s) for s in states),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the shots as netCDF, which any tool opens."""
        data = {
            f"{kind}_{k}": (("shot", *(f"{kind}_{k}_{axis}" for axis in range(d.ndim - 1))), d.numpy(), {"units": "1"})
            for kind, tensors in (("drive", self.drive), ("state", self.states))
            for k, d in enumerate(tensors)
        }
        data["y"] = (("shot", "output"), self.y.numpy(), {"units": "1"})
        xarray.Dataset(data).to_netcdf(path, engine="h5netcdf")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read shots that `save` wrote.

        Raises:
            TwinError: The file holds no shots.
        """
        try:
            with xarray.open_dataset(path, engine="h5netcdf") as data:
                drive, states = (
                    tuple(
                        torch.from_numpy(np.asarray(data[name].values))
                        for name in sorted((str(name) for name in data if str(name).startswith(kind)), key=_number)
                    )
                    for kind in ("drive_", "state_")
                )
                return cls(drive, torch.from_numpy(np.asarray(data["y"].values)), states)
        except (OSError, KeyError, ValueError) as error:
            raise TwinError(f"{path}: no recorded shots can be read from it ({error}); record them again") from error


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])
