"""Crossbars whose cells are reached one by one, through a switch matrix and a source-measure unit."""
