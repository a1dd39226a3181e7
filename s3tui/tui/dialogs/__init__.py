"""Questions that stand before a screen."""
