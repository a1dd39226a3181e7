"""Sparse structure search for parameter-efficient tuning: one process, no screen, no scheduling.

Importing `core` or anything under `core.run` loads neither torch nor transformers; the heavy parts are
`core.tasks`, `core.model` and `core.search`.
"""
