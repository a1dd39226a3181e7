"""The search methods, a module or a package each."""
