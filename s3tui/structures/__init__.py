"""Structures: loading by name, comparison with those of other runs, layout as maps."""
