"""The implementations of the commands, one module for each or for a few related ones."""
