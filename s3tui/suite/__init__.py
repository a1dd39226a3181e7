"""Suites: a TOML file read, checked, planned and submitted."""
