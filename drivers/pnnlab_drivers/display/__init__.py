"""Spatial light modulators that are driven as a second display."""
