"""TensorFlow, imported late and made repeatable."""

from __future__ import annotations

import os

from tuner.errors import SetupError


def load_tensorflow(seed: int) -> str:
    """Import it, late because it takes seconds, make what follows repeatable; its version."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Its sums depend on the kind of CPU.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        import keras  # noqa: PLC0415
        import tensorflow as tf  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SetupError(f"{error}", "pip install 'tune-serving[models]'") from error
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return str(tf.__version__)
