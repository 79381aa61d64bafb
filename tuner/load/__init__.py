"""Load bursts: `sender` is what a trial uses, `engine` the process that it starts to send."""
