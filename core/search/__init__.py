"""Structure search: gates, hypergradients, the bi-level step, the loop of the search phase."""
