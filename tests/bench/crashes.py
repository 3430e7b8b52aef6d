"""A driver module with an error that shows when it is imported."""

raise ZeroDivisionError("division by zero in a driver")
