"""Instruments that nobody here wrote, started as processes of their own."""

from scripts.peers._aravis_camera import ADDRESS, EXPOSURE_REGISTER, FakeCamera, picture
from scripts.peers._resistor_circuits import has_ngspice, operating_point

__all__ = ["ADDRESS", "EXPOSURE_REGISTER", "FakeCamera", "has_ngspice", "operating_point", "picture"]
