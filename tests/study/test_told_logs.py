from __future__ import annotations

from dataclasses import replace

from tests.study.small import run, specification
from tests.study.talking import talking
from tests.study.test_reused_deployments import ONE_DEPLOYMENT
from tuner.spec.study import SearchSpec
from tuner.study.storage import records

LOG = "replica 0:\nready, \ufffd"


def test_what_the_replicas_wrote_is_kept_of_every_trial_also_on_one_deployment() -> None:
    spec = specification(*ONE_DEPLOYMENT)
    spec = replace(spec, search=SearchSpec(sampler="random", stay=True))
    trials = records(run(spec, more=4, backend=talking(spec, LOG)))
    assert [t.stayed for t in trials] == [False, True, True, True]
    assert [t.log_tail for t in trials] == [LOG] * 4
