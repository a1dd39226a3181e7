"""What a run found, as folders that other people's code loads: our delta, a merged model, a PEFT adapter."""
