"""Runs on a Slurm cluster: one job array for a matrix, one task for a run, its facts in the run's own folder."""
