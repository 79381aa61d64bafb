"""Answers: pure functions of a study's records and of the model of them."""
