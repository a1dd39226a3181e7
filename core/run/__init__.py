"""The interface between core and manager: settings, events, structures and files of a run; no torch."""
