"""Dialogs: questions and help."""
