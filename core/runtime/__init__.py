"""The process that does a run: devices, checkpoints, signals, the event log, the heartbeat."""
