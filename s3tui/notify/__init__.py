"""Notifications: what a suite has to tell, to whom it is sent, and the process that sends it."""
