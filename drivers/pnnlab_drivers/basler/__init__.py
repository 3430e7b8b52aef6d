"""Basler cameras, by the vendor's own library (pypylon)."""
