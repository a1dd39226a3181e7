"""Dialogs over a screen: questions, and help."""
