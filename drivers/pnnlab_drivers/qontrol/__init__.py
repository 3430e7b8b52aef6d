"""Qontrol's multichannel heater drives."""
