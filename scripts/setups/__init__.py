"""Set-ups of the literature behind the ordinary interface of a system, so that shipped methods train them."""

from scripts.setups._function import FunctionSystem, Physics

__all__ = ["FunctionSystem", "Physics"]
