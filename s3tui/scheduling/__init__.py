"""The dispatcher: what starts when, and what is asked of runs under way."""
