"""Runs on disk: their folders, their status, their history."""
