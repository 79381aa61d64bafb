"""The ask-and-tell loop of one study, and the Optuna storage under it."""
