"""`python -m tuner` is `tune`."""

from tuner.cli import whole_process

if __name__ == "__main__":
    whole_process()
