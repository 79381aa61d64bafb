"""The model of a search space, and all that is pure about it. No Optuna."""
