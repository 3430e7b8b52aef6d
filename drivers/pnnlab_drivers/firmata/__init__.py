"""Boards that speak Firmata, the protocol of Arduino's standard firmware."""
