"""The content of the app's tables."""
