"""Processes, locks and signals of the operating system."""
