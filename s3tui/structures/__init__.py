"""Structures by name: loaded, compared with those of other runs, drawn as a map."""
