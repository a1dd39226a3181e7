"""The screens of the app: all runs, one run, comparison of runs, starting a suite."""
