"""Races: many arms compete under one budget of compute, and the best are confirmed on fresh seeds."""
