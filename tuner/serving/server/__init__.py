"""A TensorFlow-Serving-compatible REST server, made to run alone inside the serving image.

It knows nothing of the rest of `tune`: the image holds this folder, a handful of Python wheels and
TensorFlow's native libraries, not TensorFlow's Python package.
"""
