"""Training a structure: batches, loss, optimisers, evaluation, retraining."""
