"""The small JSON files of a run directory as typed records."""
