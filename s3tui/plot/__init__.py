"""Pictures of runs: what is drawn of them (`data`), in a terminal (`terminal`) or for a paper (`paper`)."""
