"""From what a burst leaves behind to a measurement and a score: pure functions."""
