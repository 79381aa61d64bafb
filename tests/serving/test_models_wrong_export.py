"""A Keras model that is exported the wrong way is refused, the same one exported well is taken.

See "Decisions" in the design: Python loads what `tf.saved_model.save` makes of a module around a
Keras model, and the C++ loader, which serves it, cannot run it.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.measure.golden import matches
from tuner.serving.added import Wish, add_model
from tuner.serving.first_run import loader_answers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed"),
]

EXPORT = """
import sys
import keras
import tensorflow as tf

model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)])
model.export(sys.argv[1] + "/right", verbose=False)


class Wrapped(tf.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")])
    def serve(self, x):
        return {"y": self.model(x)}


wrapped = Wrapped(model)
tf.saved_model.save(wrapped, sys.argv[1] + "/wrong", signatures=wrapped.serve)
loaded = tf.saved_model.load(sys.argv[1] + "/wrong")
print(loaded.signatures["serving_default"](x=tf.ones((1, 3)))["y"].shape)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("exported")
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, str(directory)], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("(1, 2)\n"), "Python runs the wrong one too"
    return directory


def test_exported_well_it_is_taken(exported: Path, tmp_path: Path) -> None:
    wish = Wish("dense", exported / "right")
    assert add_model(wish, loader_answers, matches, print, tmp_path).is_dir()


def test_exported_the_wrong_way_it_is_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Could not find variable") as caught:
        add_model(Wish("dense", exported / "wrong"), loader_answers, matches, print, tmp_path)
    assert "model.export(directory) or keras.export.ExportArchive" in caught.value.mend
    assert list(tmp_path.iterdir()) == []
