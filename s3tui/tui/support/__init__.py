"""Keys, colours and background work of the app."""
