"""What the methods of `core.run.methods` compute: a module or a package for each that searches, one for the others."""
