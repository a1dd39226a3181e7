"""Mirrors events of runs into experiment trackers; it reads files, so it works for finished runs too."""
