"""Rows of the app's tables."""
