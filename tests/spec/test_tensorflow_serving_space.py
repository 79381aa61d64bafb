"""The shipped search space of TensorFlow Serving's flags, and its study."""

from __future__ import annotations

import itertools

import pytest

from tuner.serving.server.flags import read
from tuner.spec.host import Host
from tuner.spec.load import load_search_space, load_study

BATCHES = ("max_batch_size", "batch_timeout_micros", "num_batch_threads")
NAME = "tensorflow_serving_full"


@pytest.mark.parametrize("host", [Host(1, 1024), Host(2, 8192), Host(64, 262_144)])
def test_the_study_suits_the_host_and_its_baseline_sets_no_batches(host: Host) -> None:
    space = load_study("mnist_knobs", host).search_space
    assert space == load_search_space(NAME, host)
    flags, env = space.settings(space.baseline())
    assert flags == {
        "tensorflow_intra_op_parallelism": "1",
        "tensorflow_inter_op_parallelism": "-1",
        "rest_api_num_threads": "2",
        "enable_batching": "false",
    }
    assert env == {}


def test_each_flag_has_its_name_upstream_and_a_description_that_gives_it() -> None:
    space = load_search_space(NAME, Host(4, 8192))
    own = [p for p in space if p.flag]
    assert [p.name for p in own] == [p.flag for p in own]
    assert len(own) == 7
    for parameter in own:
        assert parameter.role == "decision"
        assert parameter.name in parameter.description
    assert [p.name for p in own if p.when is not None] == list(BATCHES)
    assert {str(space[name].when) for name in BATCHES} == {"enable_batching == true"}


def test_the_server_takes_the_flags_of_each_configuration() -> None:
    """It refuses sizes of batches without batching."""
    space = load_search_space(NAME, Host(2, 8192))
    for configuration in itertools.islice(space.grid(), 0, None, 97):
        flags, _ = space.settings(configuration)
        settings = read([f"--{name}={value}" for name, value in flags.items()], {})
        assert settings.rest_threads == configuration["rest_api_num_threads"]
        assert settings.intra_op_threads == configuration["tensorflow_intra_op_parallelism"]
        assert settings.inter_op_threads == configuration["tensorflow_inter_op_parallelism"]
        assert (settings.batching is not None) == configuration["enable_batching"]
        if settings.batching is not None:
            for name in BATCHES:
                assert getattr(settings.batching, name) == configuration[name]


def test_two_cpus_can_be_searched_as_a_whole() -> None:
    space = load_search_space(NAME, Host(2, 8192))
    # Five parameters, threads, and batching off or on with its sizes.
    assert space.size() == (3 * 3 * 3 * 2 * 2) * (2 * 3 * 4) * (1 + 3 * 3 * 2) == 49_248
