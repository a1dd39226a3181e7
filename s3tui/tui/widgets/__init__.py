"""Tables, plots, maps and logs that draw only what has changed."""
