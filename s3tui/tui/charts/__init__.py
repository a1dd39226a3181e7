"""Charts: figures as data, axes, drawing on a canvas of characters, export as image."""
