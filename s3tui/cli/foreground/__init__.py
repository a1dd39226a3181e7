"""Running a suite in the foreground: progress display, signals, end."""
