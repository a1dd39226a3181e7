"""A suite that runs in the foreground: its progress, its signals, its end."""
