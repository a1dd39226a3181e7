"""Export of a run's result as a folder for other programs: our delta format, a merged model, or a PEFT adapter."""
