"""Text utilities: sanitising for terminals, alignment, units, CSV, JSON and TOML."""
