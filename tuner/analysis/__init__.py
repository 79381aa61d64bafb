"""What finished trials of a study say together; reads records and nothing else."""
