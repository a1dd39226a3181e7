"""The table of runs: rows, columns, filters, sorting, groups."""
