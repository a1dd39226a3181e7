"""The experiment manager: runs suites of sparse structure searches that are defined in TOML, and shows their progress.

Nothing here imports torch; each run executes `core` in a process of its own.
"""
