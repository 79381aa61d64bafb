"""What both scripts do alike: arguments, steps, exit codes, an output replaced as a whole."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tuner.errors import InputError, SetupError, TuneError
from tuner.serving.model import BAD_INPUT, directory_checksum


def run(work: Callable[[], None], output: Path) -> int:
    """Do `work`; the exit code: 0 done, 1 it failed, 2 wrong argument or file, 130 interrupted."""
    os.umask(0o022)  # The server, another user, must be able to read what is written here.
    started = time.monotonic()
    try:
        work()
    except TuneError as error:
        print("error:", error.message, error.mend and f"({error.mend})", file=sys.stderr)
        return BAD_INPUT if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        print(f"interrupted; {output} is as it was", file=sys.stderr)
        return 130
    print(f"Built {output} in {time.monotonic() - started:.1f} s")
    return 0


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say a step before it is done, and how long it took."""
    print(title, flush=True)
    started = time.monotonic()
    yield
    print(f"  {time.monotonic() - started:.1f} s", flush=True)


@contextmanager
def new_output(output: Path) -> Iterator[Path]:
    """An empty directory that takes the place of `output` when the block ends well.

    Raises InputError where `output` holds what no builder wrote.
    """
    ours = (output / "card.json").is_file()
    if output.exists() and not ours and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(
            f"--output {output} exists and holds no built model (no card.json)",
            "name a new or empty directory",
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        yield new
        if output.exists():
            output.rename(old)
        try:
            new.rename(output)
        except OSError:
            if old.exists():
                old.rename(output)
            raise


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


def whole_number(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, found {text!r}")
    return int(text)


def positive(text: str) -> int:
    if whole_number(text) == 0:
        raise argparse.ArgumentTypeError("expected a whole number from 1 on, found '0'")
    return int(text)


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
