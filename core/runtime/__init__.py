"""The process in which a run executes: devices, checkpoints, signals, the event log, the heartbeat."""
