from __future__ import annotations

import struct

import pytest
from docker import DockerClient
from hypothesis import given
from hypothesis import strategies as st

from tuner.deploy.helper import run_commands, run_each_command, split_streams, start_helper
from tuner.deploy.ownership import LABEL, Owner, remove_container
from tuner.errors import TrialFailed
from tuner.serving.image import base_tag


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary())))
def test_streams_are_put_together_from_their_frames(frames: list[tuple[int, bytes]]) -> None:
    body = b"".join(struct.pack(">BxxxL", n, len(part)) + part for n, part in frames)
    assert split_streams(body) == {
        number: b"".join(part for n, part in frames if n == number) for number in (1, 2)
    }


@pytest.mark.docker
def test_commands_answer_one_by_one_and_a_failure_says_why(
    engine: DockerClient,
    serving_image: str,  # noqa: ARG001 -- only has to be there
) -> None:
    helper = start_helper(engine, "none", base_tag(), {LABEL: str(Owner.this())})
    try:
        for _ in range(20):
            assert run_commands(helper, [["echo", "a b"], ["true"], ["printf", "c"]]) == [
                "a b\n",
                "",
                "c",
            ]
        long = run_commands(helper, [["seq", "50000"], ["ls", "/"]])[0]
        assert long.split() == [str(n) for n in range(1, 50001)]
        with pytest.raises(TrialFailed, match="No such file") as caught:
            run_commands(helper, [["ls", "/nowhere"], ["touch", "/run/reached"]])
        assert "`ls /nowhere" in caught.value.message
        with pytest.raises(TrialFailed):
            run_commands(helper, [["ls", "/run/reached"]])
        answers = run_each_command(
            helper, [["ls", "/nowhere"], ["touch", "/run/reached"], ["echo", "on"]]
        )
        assert answers == ["", "", "on\n"]
        with pytest.raises(TrialFailed):
            run_each_command(helper, [["true"], ["false"]])
    finally:
        remove_container(helper)
