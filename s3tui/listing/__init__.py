"""The runs table: rows, filters, order, groups."""
