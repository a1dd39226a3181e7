"""What the commands do, a module for each or for a few that belong together."""
