"""The trackers, a module each."""
