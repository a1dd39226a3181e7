"""The report of a suite: what it says (`content`), as one HTML page (`page`) or as Markdown (`markdown`)."""
