"""What a model says to people: recommendations, importances, curves, statements in words."""
