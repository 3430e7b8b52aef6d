"""Instruments of ArC Instruments for arrays of memristive cells."""
