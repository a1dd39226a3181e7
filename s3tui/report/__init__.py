"""The report of a suite: its content (`content`), written as one HTML page (`html`) or as Markdown (`markdown`)."""
