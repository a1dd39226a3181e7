"""The small JSON files of a run directory, read as typed records."""
