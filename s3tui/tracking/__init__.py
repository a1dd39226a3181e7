"""Mirrors what a run tells into experiment trackers, from its files: it works for finished runs too."""
