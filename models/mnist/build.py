"""Train a small CNN on handwritten digits and write it ready to serve.

    python build.py --output built [--data mnist.npz] [--seed 0] [--epochs N]

An example for builders of your own: `tune models build NAME` runs `models/NAME/build.py` with
`--output`, and needs nothing but what this one writes there:

    versions/1/     the SavedModel, in the layout of TensorFlow Serving; and model.onnx, the same
                    weights for ONNX Runtime
    golden.jsonl    a request and its expected answer a line: {"request": ..., "response": ...}
    card.json       what the model is and where it comes from

The answers are those of TensorFlow's C++ loader, which is what serves the model: Python can load
a SavedModel that this loader cannot run. Exit codes: 0 built, 1 not good enough to serve, 2 wrong
argument or data. Until it is built, what was in `--output` stays.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import sys
import time
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tuner.errors import InputError, SetupError
from tuner.serving.building import new_output, run_builder, step, whole_number
from tuner.serving.server.status import StatusError
from tuner.serving.server.tensorflow_c import SavedModel
from tuner.serving.version_files import directory_checksum

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

SIGNATURE, INPUT, OUTPUT = "serving_default", "image", "probabilities"
MIN_ACCURACY = 0.95
GOLDEN_REQUESTS = 32
LOADER_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Digits:
    """Images of shape (n, 28, 28, 1), 0 to 1 in three decimals, and labels 0 to 9 of shape (n,).

    Three decimals tell 256 grey levels apart and keep the requests short.
    """

    source: str
    x_train: Floats
    y_train: Integers
    x_test: Floats
    y_test: Integers
    epochs: int
    """How often to go through the training images, unless the user says."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    output = options.output.resolve()
    return run_builder(lambda: build(output, options.data, options.seed, options.epochs), output)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    result.add_argument("--output", type=Path, required=True, help="directory to write")
    result.add_argument("--data", type=Path, help="mnist.npz; default: scikit-learn's digits")
    result.add_argument("--seed", type=whole_number, default=0, help="same seed, same weights")
    result.add_argument(
        "--epochs", type=whole_number, default=0, help="default: 15, or 1 with --data"
    )
    return result


def build(output: Path, data: Path | None, seed: int, epochs: int) -> None:
    """All steps; raises InputError for a wrong argument and SetupError for a bad outcome."""
    started = time.monotonic()
    with new_output(output) as new:
        saved_model = new / "versions" / "1"
        with step("Read the data"):
            digits = read_mnist(data) if data else bundled_digits(seed)
            epochs = epochs or digits.epochs
            print(
                f"  {digits.source}: {len(digits.x_train)} to train, {len(digits.x_test)} held out"
            )
        with step("Load TensorFlow"):
            load_tensorflow(seed)
        with step("Train"):
            model = train(digits, seed, epochs)
        with step("Export the SavedModel"):
            export(model, saved_model)
        with step("Answer the held-out images through TensorFlow's C++ loader"):
            answers = verified_answers(model, saved_model, digits.x_test)
            accuracy = float(np.mean(answers.argmax(axis=1) == digits.y_test))
            print(f"  held-out accuracy {accuracy:.2%}")
        if accuracy <= MIN_ACCURACY:
            raise SetupError(
                f"held-out accuracy {accuracy:.2%} is not above {MIN_ACCURACY:.0%}",
                "train longer (--epochs) or check the labels of --data",
            )
        with step("Convert it to ONNX, and answer the same images through ONNX Runtime"):
            write_onnx(model, saved_model / "model.onnx")
            verify_onnx(saved_model / "model.onnx", digits.x_test, answers)
        (new / "golden.jsonl").write_text(golden_lines(digits.x_test, answers))
        card = {
            "name": "mnist",
            "data": digits.source,
            "train_samples": len(digits.x_train),
            "test_samples": len(digits.x_test),
            "accuracy": round(accuracy, 4),
            "seed": seed,
            "epochs": epochs,
            "signature": {"name": SIGNATURE, "input": INPUT, "output": OUTPUT},
            "saved_model_sha256": directory_checksum(saved_model),
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("keras", "numpy", "onnxruntime", "tf2onnx")},
                "tensorflow": tensorflow_version(),
            },
            "build_seconds": round(time.monotonic() - started, 1),
        }
        (new / "card.json").write_text(json.dumps(card, indent=2) + "\n")


def read_mnist(path: Path) -> Digits:
    """The arrays of Keras' `mnist.npz`: x_* of shape (n, 28, 28), 0 to 255, and y_* of shape (n,).

    Raises InputError where the file is not that.
    """
    names = ("x_train", "y_train", "x_test", "y_test")
    mend = "--data takes mnist.npz with x_train, y_train, x_test and y_test"
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            missing = [name for name in names if name not in arrays]
            if missing:
                raise InputError(f"{path}: {', '.join(missing)} is missing", mend)
            found = {name: arrays[name] for name in names}
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", mend) from error
    except (ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: not an .npz file of plain arrays ({error})", mend) from error
    for name, array in found.items():
        check_array(f"{path}: {name}", array, pixels=name.startswith("x"))
    for part in ("train", "test"):
        images, labels = len(found[f"x_{part}"]), len(found[f"y_{part}"])
        if images != labels:
            raise InputError(f"{path}: {images} images in x_{part}, {labels} labels in y_{part}")
    return Digits(
        f"MNIST ({path.name})",
        as_images(found["x_train"] / 255),
        found["y_train"].astype(np.int64),
        as_images(found["x_test"] / 255),
        found["y_test"].astype(np.int64),
        epochs=1,
    )


def check_array(where: str, array: npt.NDArray[Any], *, pixels: bool) -> None:
    shape, high = ("(n, 28, 28)", 255) if pixels else ("(n,)", 9)
    fits = array.shape[1:] == (28, 28) if pixels else array.ndim == 1
    if not (array.ndim > 0 and fits and len(array) and np.issubdtype(array.dtype, np.integer)):
        raise InputError(
            f"{where}: expected integers of shape {shape}, found {array.dtype} of {array.shape}"
        )
    if array.min() < 0 or array.max() > high:
        raise InputError(
            f"{where}: expected values 0 to {high}, found {array.min()} to {array.max()}"
        )


def bundled_digits(seed: int) -> Digits:
    """Scikit-learn's 1,797 digits of 8 x 8 pixels, resized to 28 x 28; one in five is held out."""
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415 not needed with --data
    except ModuleNotFoundError as error:
        raise SetupError(f"{error}", "pip install 'tune-serving[models]'") from error
    bunch = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    images = as_images(resize(bunch.images / 16, 28)[order])
    labels = bunch.target[order].astype(np.int64)
    held_out = len(labels) // 5
    return Digits(
        "scikit-learn's bundled handwritten digits, 8 x 8 resized to 28 x 28 (not MNIST itself)",
        images[held_out:],
        labels[held_out:],
        images[:held_out],
        labels[:held_out],
        epochs=15,
    )


def as_images(values: npt.NDArray[np.float64]) -> Floats:
    """Shape (n, 28, 28) in 0 to 1 as the model takes it."""
    return np.round(values, 3)[..., np.newaxis].astype(np.float32)


def resize(images: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """Bilinear interpolation of images (n, s, s) to (n, size, size), pixel centres aligned."""
    old = images.shape[1]
    centres = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    weights = np.maximum(0, 1 - np.abs(centres[:, np.newaxis] - np.arange(old)))
    result: npt.NDArray[np.float64] = weights @ images @ weights.T
    return result


def load_tensorflow(seed: int) -> None:
    """Import it, late because it takes seconds, and make what follows repeatable."""
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


def train(digits: Digits, seed: int, epochs: int) -> keras.Model:
    import keras  # noqa: PLC0415

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    count = len(digits.x_train)
    batch = min(count, 32 if count < 10_000 else 128)
    # The rate falls to nothing: the weights settle, whatever the seed.
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * (count // batch))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    shuffle = np.random.default_rng(seed).permutation
    for epoch in range(1, epochs + 1):
        # Whole batches only: another size would be compiled anew.
        batches = np.array_split(shuffle(count), range(batch, count, batch))
        losses = [
            model.train_on_batch(digits.x_train[b], digits.y_train[b])
            for b in batches
            if len(b) == batch
        ]
        print(f"  epoch {epoch}/{epochs}: loss {np.mean(losses):.4f}", flush=True)
    return model


def export(model: keras.Model, directory: Path) -> None:
    """Write the SavedModel by Keras' own exporter, whose variables the C++ loader can find."""
    import keras  # noqa: PLC0415

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        SIGNATURE,
        lambda image: {OUTPUT: model(image)},
        [keras.InputSpec(shape=(None, 28, 28, 1), dtype="float32", name=INPUT)],
    )
    archive.write_out(directory, verbose=False)


def verified_answers(model: keras.Model, saved_model: Path, images: Floats) -> Floats:
    """The C++ loader's probabilities, shape (n, 10); raises SetupError unless they are Keras'.

    The loader runs in a process of its own, as it does in a server: one into which Python's
    TensorFlow has not registered anything.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        try:
            answers = process.submit(loader_answers, saved_model, images).result()
        except Exception as error:
            raise SetupError(
                f"TensorFlow's C++ loader does not run this SavedModel: {error}"
            ) from error
    chunks = np.array_split(images, range(500, len(images), 500))
    expected = np.concatenate([model.predict_on_batch(chunk) for chunk in chunks])
    require_alike(answers, expected, "TensorFlow's C++ loader", "Keras")
    return answers


def loader_answers(saved_model: Path, images: Floats) -> Floats:
    """One call per image, as a server gets them."""
    try:
        with SavedModel(saved_model) as model:
            answers = [model.run(SIGNATURE, {INPUT: image[np.newaxis]})[OUTPUT] for image in images]
    except StatusError as error:
        raise RuntimeError(str(error)) from None  # A StatusError cannot be sent to a process.
    return np.concatenate(answers)


def write_onnx(model: keras.Model, file: Path) -> None:
    """Write the model with its weights, inputs and outputs as ONNX."""
    try:
        import tensorflow as tf  # noqa: PLC0415
        import tf2onnx  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SetupError(f"{error}", "pip install 'tune-serving[models]'") from error
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    answer = tf.function(
        lambda image: tf.identity(model(image), OUTPUT),
        input_signature=[tf.TensorSpec((None, 28, 28, 1), tf.float32, INPUT)],
    )
    converted, _ = tf2onnx.convert.from_function(answer, answer.input_signature, opset=17)
    (output,) = converted.graph.output
    for node in converted.graph.node:
        node.output[:] = [OUTPUT if name == output.name else name for name in node.output]
    output.name = OUTPUT
    file.write_bytes(converted.SerializeToString())


def verify_onnx(file: Path, images: Floats, expected: Floats) -> None:
    """Raises SetupError unless ONNX Runtime answers as TensorFlow's C++ loader did."""
    from tuner.serving.open_inference.session import SessionSettings, load  # noqa: PLC0415

    try:
        served = load("mnist", 1, file, SessionSettings())
        answers = served.run({INPUT: images})[OUTPUT]
    except (StatusError, KeyError) as error:
        raise SetupError(f"ONNX Runtime does not run {file.name}: {error}") from error
    require_alike(answers, expected, "ONNX Runtime", "TensorFlow")


def require_alike(answers: Floats, expected: Floats, by: str, of: str) -> None:
    """Raises SetupError where answers `by` one differ too much from those `of` another."""
    difference = float(np.abs(answers - expected).max())
    print(f"  differs from {of} by at most {difference:.1e}")
    # Not "more than", so that a NaN is refused too.
    if not difference <= LOADER_TOLERANCE:
        raise SetupError(
            f"{by} and {of} differ by {difference:.1e}, more than {LOADER_TOLERANCE:.0e}"
        )


def golden_lines(images: Floats, answers: Floats) -> str:
    """JSON lines of the first held-out images, one instance to a request."""
    return "".join(
        json.dumps(
            {
                "request": {"instances": [decimals(image, 3)]},
                "response": {"predictions": [decimals(answer, 7)]},
            },
            separators=(",", ":"),
        )
        + "\n"
        for image, answer in zip(images[:GOLDEN_REQUESTS], answers[:GOLDEN_REQUESTS], strict=True)
    )


def decimals(values: Floats, places: int) -> Any:  # noqa: ANN401 nested lists of floats
    """Nested lists whose numbers print with at most `places` decimals."""
    return np.round(values.astype(np.float64), places).tolist()


def tensorflow_version() -> str:
    import tensorflow as tf  # noqa: PLC0415 the distribution has several names, the module one

    return str(tf.__version__)


if __name__ == "__main__":
    sys.exit(main())
