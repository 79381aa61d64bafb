"""Bursts of load: a trial uses `sender`, which starts the process `engine` to send."""
