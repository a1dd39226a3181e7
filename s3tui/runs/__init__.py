"""Runs on disk: workspaces, run folders, status, history."""
