"""BIPEFT: search by pruning the positions of a space down to the budget (arXiv 2410.09079)."""
