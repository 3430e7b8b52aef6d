"""Cameras and light modulators that Micro-Manager has an adapter for, by its core (pymmcore)."""
