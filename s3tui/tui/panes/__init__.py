"""The tabs of the screens of one run and of several runs."""
