"""What a device is: its life, limits and roles. The only package that every driver imports (numpy, no torch)."""

from pnnlab.devices._adc import ADC, Records
from pnnlab.devices._camera import Camera, Frames, RegionOfInterest
from pnnlab.devices._candidate import Candidate
from pnnlab.devices._clock import Clock, RealClock, SimulatedClock
from pnnlab.devices._crossbar import CrossbarArray
from pnnlab.devices._dac import DAC
from pnnlab.devices._device import Device, DeviceOptions
from pnnlab.devices._identity import ExpectedIdentity, Identity
from pnnlab.devices._limits import UNLIMITED, Limits
from pnnlab.devices._plant import Oracle, Plant
from pnnlab.devices._pulsed_crossbar import PulsedCrossbar
from pnnlab.devices._roles import roles_of
from pnnlab.devices._sensor import Sensor
from pnnlab.devices._setting import SettingValue
from pnnlab.devices._slm import SpatialLightModulator
from pnnlab.devices._state import State
from pnnlab.devices._trigger import Setpoint, Stamps, Trigger

__all__ = [
    "ADC",
    "DAC",
    "UNLIMITED",
    "Camera",
    "Candidate",
    "Clock",
    "CrossbarArray",
    "Device",
    "DeviceOptions",
    "ExpectedIdentity",
    "Frames",
    "Identity",
    "Limits",
    "Oracle",
    "Plant",
    "PulsedCrossbar",
    "RealClock",
    "Records",
    "RegionOfInterest",
    "Sensor",
    "Setpoint",
    "SettingValue",
    "SimulatedClock",
    "SpatialLightModulator",
    "Stamps",
    "State",
    "Trigger",
    "roles_of",
]
