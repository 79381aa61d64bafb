"""Who runs the trials of a study: containers, a simulated host, or a recorded grid."""
