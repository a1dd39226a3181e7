"""Text: made safe to print, aligned, with units, as CSV and JSON."""
