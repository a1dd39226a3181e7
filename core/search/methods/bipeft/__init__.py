"""BIPEFT: a space is pruned down to its budget, position by position (arXiv 2410.09079)."""
