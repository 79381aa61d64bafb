"""What both scripts do alike: TensorFlow made repeatable, and the card of what was built."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tuner.errors import SetupError
from tuner.serving.version_files import directory_checksum


def write_card(directory: Path, facts: Mapping[str, Any], synthesiser: str) -> None:
    """card.json: `facts`, and what is alike for every model of this directory.

    `synthesiser` is the version of espeak-ng, empty where it had no part in it.
    """
    card = {
        "name": "deepspeech",
        **facts,
        "saved_model_sha256": directory_checksum(directory / "versions" / "1"),
        "versions": {
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "tensorflow": tensorflow_version(),
            **({"espeak-ng": synthesiser} if synthesiser else {}),
        },
    }
    (directory / "card.json").write_text(json.dumps(card, indent=2) + "\n")


def load_tensorflow(seed: int) -> None:
    """Import it, late because it takes seconds, and make what follows repeatable."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Its sums depend on the kind of CPU.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        import tensorflow as tf  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SetupError(f"{error}", "pip install 'tune-serving[models]'") from error
    tf.random.set_seed(seed)
    tf.config.experimental.enable_op_determinism()


def tensorflow_version() -> str:
    import tensorflow as tf  # noqa: PLC0415 the distribution has several names, the module one

    return str(tf.__version__)
