"""What finished runs scored, averaged over seeds and compared."""
