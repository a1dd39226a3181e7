"""How a structure is found: gates, hypergradients, the bi-level loop, retraining."""
