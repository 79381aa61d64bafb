"""A frozen graph as Mozilla DeepSpeech exports it, read, and run over audio of any length.

The nodes are those of `create_inference_graph` and `export` in the training code: one window of
audio in `input_samples` gives `mfccs`; `input_node`, (1, steps, frames in context, features), with
`input_lengths` and the state of the LSTM gives `logits`, which are probabilities after a softmax,
(steps, 1, classes), and the new state. What the graph says about itself is in `metadata_*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tuner.errors import InputError

from .formats import alphabet_of
from .front_end import Geometry, Tensor, frame_counts, in_context, padded
from .transcriber import Acoustics

GraphDef = Any
Floats = npt.NDArray[np.float32]

NETWORK_INPUTS = ("input_node", "input_lengths", "previous_state_c", "previous_state_h")
NETWORK_OUTPUTS = ("logits", "new_state_c", "new_state_h")
AUDIO, FEATURES = "input_samples", "mfccs"
METADATA = ("sample_rate", "feature_win_len", "feature_win_step", "alphabet")
OLDER = "take the output_graph.pb of release 0.7 or newer, whose graph describes itself"
TINY = 1e-30  # A probability of zero has no logarithm.


@dataclass(frozen=True)
class Released:
    """What a graph says about itself.

    The network takes `steps` steps at a time and has a state of `cells`; `alphabet` has the blank
    behind it. `metadata` holds what else there is, such as the version and the language.
    """

    graph: GraphDef
    geometry: Geometry
    steps: int
    cells: int
    alphabet: tuple[bytes, ...]
    beam_width: int
    metadata: Mapping[str, str]


def read_graph(content: bytes, where: str) -> Released:
    """The graph in `content`, a file called `where`; raises InputError where it is another one."""
    try:
        graph = tf.compat.v1.GraphDef.FromString(content)
    except Exception as error:
        raise InputError(
            f"{where}: not a frozen graph ({error})", "name a released output_graph.pb"
        ) from error
    nodes = {node.name: node for node in graph.node}
    metadata = {
        name.removeprefix("metadata_"): tf.make_ndarray(node.attr["value"].tensor).reshape(-1)[0]
        for name, node in nodes.items()
        if name.startswith("metadata_") and node.op == "Const"
    }
    needed = (*NETWORK_INPUTS, *NETWORK_OUTPUTS, AUDIO, FEATURES)
    missing = [name for name in needed if name not in nodes]
    missing += [f"metadata_{name}" for name in METADATA if name not in metadata]
    if missing:
        raise InputError(f"{where}: no node {', '.join(missing)}", OLDER)
    rate = int(metadata["sample_rate"])
    _, steps, width, features = sizes(nodes["input_node"], 4, where)
    _, cells = sizes(nodes["previous_state_c"], 2, where)
    return Released(
        graph,
        Geometry(
            sample_rate=rate,
            window=rate * int(metadata["feature_win_len"]) // 1000,
            step=rate * int(metadata["feature_win_step"]) // 1000,
            features=features,
            context=(width - 1) // 2,
        ),
        steps,
        cells,
        alphabet_of(bytes(metadata["alphabet"]), where),
        int(metadata.get("beam_width", 500)),
        {k: readable(v) for k, v in metadata.items() if k not in {*METADATA, "beam_width"}},
    )


def readable(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def sizes(node: Any, rank: int, where: str) -> tuple[int, ...]:  # noqa: ANN401 a NodeDef
    found = tuple(dim.size for dim in node.attr["shape"].shape.dim)
    if len(found) != rank or min(found) < 1 or found[0] != 1:
        raise InputError(
            f"{where}: node {node.name} has the shape {found}, "
            f"expected {rank} known sizes, the first of them 1",
            "export it for streaming: a batch of 1 and a fixed number of steps (--n_steps 16)",
        )
    return found


def weights_of(graph: GraphDef) -> dict[str, Floats]:
    """The frozen tensors of floats: once variables, they are stored once for all signatures."""
    controls = {name[1:] for node in graph.node for name in node.input if name.startswith("^")}
    return {
        node.name: tf.make_ndarray(node.attr["value"].tensor)
        for node in graph.node
        if node.op == "Const"
        and node.attr["dtype"].type == tf.float32.as_datatype_enum
        and node.attr["value"].tensor.tensor_shape.dim
        and node.name not in controls
    }


def piece(graph: GraphDef, outputs: Sequence[str], given: Sequence[str]) -> GraphDef:
    """What computes `outputs`, without the nodes `given`, which the caller will put in."""
    inputs = {
        node.name: [name.lstrip("^").split(":")[0] for name in node.input] for node in graph.node
    }
    needed: set[str] = set()
    queue = list(outputs)
    while queue:
        name = queue.pop()
        if name not in needed and name not in given:
            needed.add(name)
            queue += inputs.get(name, [])
    result = tf.compat.v1.GraphDef(versions=graph.versions)
    for node in graph.node:
        if node.name in needed:
            kept = result.node.add()
            kept.CopyFrom(node)
            # Where a variable was is of no use without it.
            if "_class" in kept.attr:
                del kept.attr["_class"]
            kept.device = ""
    return result


def call(part: GraphDef, outputs: Sequence[str], given: Mapping[str, Tensor]) -> list[Tensor]:
    """The tensors `outputs` of a piece, with the tensors `given` where it lacks nodes."""
    used = {name.split(":")[0] for node in part.node for name in node.input}
    tensors: list[Tensor] = tf.graph_util.import_graph_def(
        part,
        input_map={f"{name}:0": tensor for name, tensor in given.items() if name in used},
        return_elements=[f"{output}:0" for output in outputs],
        name="released",
    )
    return tensors


def acoustics_of(released: Released, weights: Mapping[str, tf.Variable]) -> Acoustics:
    """The graph over whole recordings: chunk after chunk, the state carried over.

    `weights` stand for the constants of the same names. As DeepSpeech's native client does, the
    last chunk is filled up with zeros, and only the probabilities of its own steps count.
    """
    geometry, steps = released.geometry, released.steps
    classes = len(released.alphabet) + 1
    front_end = piece(released.graph, [FEATURES], [AUDIO])
    network = piece(released.graph, NETWORK_OUTPUTS, [*NETWORK_INPUTS, *weights])

    def chunk(inputs: Tensor, count: Tensor, c: Tensor, h: Tensor) -> list[Tensor]:
        given = dict(zip(NETWORK_INPUTS, (inputs, count, c, h), strict=True))
        frozen = {name: tf.convert_to_tensor(variable) for name, variable in weights.items()}
        return call(network, NETWORK_OUTPUTS, {**frozen, **given})

    def one(recording: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        samples, frames, longest = recording
        audio = padded(samples[tf.newaxis], geometry)[0]
        (coefficients,) = call(front_end, [FEATURES], {AUDIO: audio})
        coefficients = tf.reshape(coefficients, [-1, geometry.features])[:frames]
        inputs = in_context(coefficients[tf.newaxis], geometry)[0]
        chunks = -(-frames // steps)
        inputs = tf.pad(inputs, [[0, chunks * steps - frames], [0, 0]])
        shape = [chunks, 1, steps, 2 * geometry.context + 1, geometry.features]
        inputs = tf.reshape(inputs, shape)

        def body(at: Tensor, c: Tensor, h: Tensor, done: Tensor) -> tuple[Tensor, ...]:
            count = tf.minimum(frames - at * steps, steps)
            found, new_c, new_h = chunk(inputs[at], count[tf.newaxis], c, h)
            found = tf.ensure_shape(tf.reshape(found, [steps, -1]), [steps, classes])
            state = [tf.ensure_shape(s, [1, released.cells]) for s in (new_c, new_h)]
            return at + 1, *state, done.write(at, found)

        state = tf.zeros([1, released.cells])
        done = tf.TensorArray(tf.float32, chunks, element_shape=[steps, classes])
        *_, done = tf.while_loop(
            lambda at, *_: at < chunks, body, (tf.constant(0), state, state, done)
        )
        return tf.pad(done.concat()[:frames], [[0, longest - frames], [0, 0]])

    def acoustics(samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        frames = frame_counts(lengths, geometry)
        longest = tf.fill(tf.shape(frames), frame_counts(tf.shape(samples)[1], geometry))
        found = tf.map_fn(
            one,
            (samples, frames, longest),
            fn_output_signature=tf.TensorSpec([None, classes], tf.float32),
        )
        return tf.math.log(tf.maximum(tf.transpose(found, [1, 0, 2]), TINY)), frames

    return acoustics


def step_by_step(released: Released, audio: Sequence[Floats]) -> list[Floats]:
    """Probabilities (t, classes) of each of the samples (n,), as the native client gets them.

    Independent of `acoustics_of`: the graph as it is, run once per window and once per chunk.
    """
    geometry, context = released.geometry, released.geometry.context
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(released.graph, name="")

    def features(session: Any, window: Floats) -> Floats:  # noqa: ANN401 a session
        filled = np.pad(window, (0, geometry.window - len(window)))
        found: Floats = session.run(f"{FEATURES}:0", {f"{AUDIO}:0": filled})
        return found.reshape(-1)

    def heard(session: Any, samples: Floats) -> Floats:  # noqa: ANN401
        frames, rest = [np.zeros(geometry.features, np.float32)] * context, samples
        while len(rest) >= geometry.window:
            frames.append(features(session, rest[: geometry.window]))
            rest = rest[geometry.step :]
        frames.append(features(session, rest))
        frames += [np.zeros(geometry.features, np.float32)] * context
        seen = [frames[at : at + 2 * context + 1] for at in range(len(frames) - 2 * context)]
        c = h = np.zeros((1, released.cells), np.float32)
        results = []
        for start in range(0, len(seen), released.steps):
            some = np.array(seen[start : start + released.steps], np.float32)
            count = len(some)
            filled = np.pad(some, ((0, released.steps - count), (0, 0), (0, 0)))
            values = (filled[np.newaxis], np.array([count], np.int32), c, h)
            feed = {f"{k}:0": v for k, v in zip(NETWORK_INPUTS, values, strict=True)}
            found, c, h = session.run([f"{name}:0" for name in NETWORK_OUTPUTS], feed)
            results.append(found.reshape(released.steps, -1)[:count])
        return np.concatenate(results)

    with tf.compat.v1.Session(graph=graph) as session:
        return [heard(session, samples) for samples in audio]
