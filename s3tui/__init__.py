"""The experiment manager: suites of sparse structure searches from TOML, run and watched on one machine.

Nothing here imports torch; what runs a search is `core`, in a process of its own.
"""
