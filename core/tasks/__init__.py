"""What is learned: tasks by name and from files, and their metrics."""
