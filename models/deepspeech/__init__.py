"""The modules of the speech model's scripts, `build.py` and `convert.py`."""
