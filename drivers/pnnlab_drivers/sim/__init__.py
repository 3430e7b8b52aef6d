"""Simulated devices with honest physics; devices that name the same plant share one world."""
