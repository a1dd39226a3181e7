"""Plots of runs: as plain data (`panels`), drawn in a terminal (`terminal`) or with matplotlib."""
