"""Instruments of Keysight Technologies, formerly Agilent."""
