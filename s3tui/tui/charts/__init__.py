"""Charts: axes, canvas, and what they show."""
