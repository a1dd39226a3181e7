"""Results of finished runs: averages over seeds, gains over baselines, comparison of runs."""
