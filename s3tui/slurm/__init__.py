"""What jobs call that were queued on a cluster by version 0.1; `s3tui.launchers.slurm` is where it went."""
