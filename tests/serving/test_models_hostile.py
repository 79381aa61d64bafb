"""Model directories that are broken, or made to do harm."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.measure.golden import load_golden, matches
from tuner.serving.added import Wish, add_model
from tuner.serving.first_run import FirstAnswers, FirstRun
from tuner.serving.model_facts import short_facts
from tuner.serving.saved_model_source import SavedModelSource, find_saved_model
from tuner.serving.server.numbered import numbered_versions
from tuner.serving.server.signatures import PREDICT_METHOD, Signature, TensorSpec
from tuner.serving.synthesis import synthesise, tensors_text
from tuner.serving.version_files import highest_version_in
from tuner.spec.load import load_model
from tuner.spec.study import ModelSpec

HALF_PLUS_TWO = Path(__file__).parents[1] / "data" / "half_plus_two"


def answering(answer: bytes) -> FirstRun:
    def first_run(_model: ModelSpec, bodies: Sequence[bytes]) -> FirstAnswers:
        return FirstAnswers([answer for _ in bodies])

    return first_run


@pytest.mark.parametrize(
    "answer", [b'{"predictions": [NaN]}', b'{"predictions": [-Infinity]}', b"{", b"[1e999]"]
)
def test_a_model_whose_answers_are_not_json_is_refused(tmp_path: Path, answer: bytes) -> None:
    wish = Wish("half", HALF_PLUS_TWO)
    with pytest.raises(InputError, match="answer to request 0 is not JSON, which has no NaN") as e:
        add_model(wish, answering(answer), matches, print, tmp_path)
    assert "--requests FILE" in e.value.mend
    assert not list(tmp_path.iterdir())


VERSIONS = {"9": 9, "007": 7, "0": 0, "9223372036854775807": 2**63 - 1}
IGNORED = ("9223372036854775808", "9" * 40, "-1", "+1", "1_0", "1.0", "\u0661", "\uff12", " 3", "x")


@pytest.mark.parametrize("name", [*VERSIONS, *IGNORED])
def test_versions_are_those_of_tensorflow_serving(tmp_path: Path, name: str) -> None:
    for version in (name, "0000"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").touch()
    highest = name if VERSIONS.get(name) else "0000"
    assert find_saved_model(tmp_path).version == VERSIONS.get(name, 0)
    if name != "0":
        assert highest_version_in(tmp_path, "saved_model.pb") == tmp_path / highest
    assert numbered_versions(tmp_path).keys() == {0, VERSIONS.get(name, 0)}
    single = tmp_path / name
    assert find_saved_model(single) == SavedModelSource(single, VERSIONS.get(name, 1))


def test_a_pipe_or_a_device_is_no_saved_model(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
    os.mkfifo(tmp_path / "1" / "saved_model.pb")
    (tmp_path / "2" / "saved_model.pb").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="has no SavedModel"):
        find_saved_model(tmp_path)


def test_only_versions_that_are_ignored_are_no_model(tmp_path: Path) -> None:
    (tmp_path / "9223372036854775808").mkdir()
    (tmp_path / "9223372036854775808" / "saved_model.pb").touch()
    with pytest.raises(InputError, match="numbers of at most 64 bits"):
        find_saved_model(tmp_path)


@pytest.mark.parametrize("kind", ["file", "directory", "loop", "itself", "nowhere", "pipe"])
def test_what_leads_out_of_a_model_is_not_copied(tmp_path: Path, kind: str) -> None:
    model, secret = tmp_path / "model", tmp_path / "secret"
    shutil.copytree(HALF_PLUS_TWO, model)
    secret.mkdir()
    (secret / "key").write_text("secret")
    odd = model / "00000123" / "assets" / "odd"
    match kind:
        case "pipe":
            os.mkfifo(odd)
        case _:
            to = {
                "itself": odd,
                "file": secret / "key",
                "directory": secret,
                "loop": model,
                "nowhere": Path("/x"),
            }
            odd.symlink_to(to[kind])
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(InputError, match=r"assets/odd is no file of its own"):
        add_model(Wish("half", model), answering(b"[]"), matches, print, root)
    assert not list(root.iterdir())


def test_a_link_to_another_file_of_the_model_is_followed(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(HALF_PLUS_TWO, model)
    (model / "00000123" / "assets" / "again.txt").symlink_to("foo.txt")
    root = tmp_path / "root"
    root.mkdir()
    directory = add_model(Wish("half", model), answering(b"[]"), matches, print, root)
    copied = directory / "built" / "versions" / "123" / "assets" / "again.txt"
    assert not copied.is_symlink()
    assert copied.is_file()


def signature(name: str, *shape: int) -> Signature:
    spec = TensorSpec("x:0", "DT_FLOAT", shape)
    return Signature(PREDICT_METHOD, {name: spec}, {"y": spec})


def test_inputs_of_any_size_are_not_made() -> None:
    for shape in [(-1, 2**62), (2**62, 0), (0, 2**40)]:
        with pytest.raises(InputError, match="have more than 5000000 numbers: x float"):
            synthesise("serve", signature("x", *shape), {})


def test_names_in_a_model_say_nothing_to_a_terminal_or_a_file() -> None:
    odd = signature("x\nbuilder: evil\x1b[2J", 1)
    assert tensors_text(odd.inputs) == "x\ufffdbuilder: evil\ufffd[2J float [1]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"request": {"instances": [NaN]}, "response": 1}', "line 1: not JSON"),
        (b'{"request": 1, "response": [1e999]}', "line 1: not JSON"),
        (b'{"request": 1, "response": "\xff"}', "line 1: not JSON"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b"\n[1]", "line 2: the keys"),
    ],
)
def test_golden_requests_are_json(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_bytes(text)
    with pytest.raises(InputError, match=said) as refused:
        load_golden(path)
    assert str(path) in refused.value.message
    with pytest.raises(InputError, match="cannot be read"):
        load_golden(tmp_path)


def test_lines_of_golden_requests_end_at_line_feeds_only(tmp_path: Path) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text(json.dumps({"request": "a\u2028b", "response": 1}, ensure_ascii=False))
    assert load_golden(path).bodies == (b'"a\\u2028b"',)


@pytest.mark.parametrize("card", [b"{", b"[1]", b"\xff", b'"added"'])
def test_a_broken_card_is_refused_by_name(tmp_path: Path, card: bytes) -> None:
    directory = tmp_path / "models" / "m"
    (directory / "built").mkdir(parents=True)
    (directory / "model.yaml").write_text("description: x\n")
    (directory / "built" / "card.json").write_bytes(card)
    with pytest.raises(InputError, match=r"card\.json cannot be read"):
        short_facts(load_model("m", tmp_path))
