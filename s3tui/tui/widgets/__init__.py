"""Widgets (tables, plots, maps, logs) that draw only what has changed."""
