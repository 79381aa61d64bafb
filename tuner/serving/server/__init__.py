"""A server with TensorFlow Serving's REST and gRPC API, made to run alone in the serving image.

It knows nothing of the rest of `tune`: the image holds this folder, a handful of Python wheels and
TensorFlow's native libraries, not TensorFlow's Python package.
"""
