"""The model of a search space: what each configuration is likely to do, and how sure that is."""
