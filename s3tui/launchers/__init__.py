"""Where runs are started, a module or a package for each kind of place."""
