"""The code of the methods: a module or package for each one that searches, and one module for the others."""
