"""The contract between a run and whoever watches it: plain data and files, no torch."""
