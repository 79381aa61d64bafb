"""What optuna-dashboard shows beside Optuna's own: a note, and artifacts of each trial."""
