"""A service that is there already: what is wrong with it is said, and load is bounded."""

import gzip
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.deploy.endpoints import Reply, endpoint, own_authority, predicted, response
from tuner.api import Study
from tuner.backends.backend import BackendOptions
from tuner.backends.endpoint import EndpointBackend, endpoint_backend
from tuner.deploy.endpoint_deployer import is_local
from tuner.deploy.endpoint_url import endpoint_url
from tuner.errors import InputError, SetupError, TrialFailed, TuneError, Unreachable
from tuner.load.study_requests import with_requests
from tuner.measure.samples import RequestOutcome
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.settings import study_of_endpoint, with_settings
from tuner.spec.study import EndpointSpec, LoadSpec, StudySpec, UsageSpec
from tuner.study.check import checks
from tuner.trial import TrialRequest, TrialResult

QUICK = LoadSpec(
    min_seconds=0.3,
    max_seconds=0.5,
    min_requests=20,
    precision=0.5,
    batch_seconds=0.05,
    warmup_max_seconds=0.2,
    timeout_seconds=3.0,
)


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "requests.jsonl"
    pair = {"request": {"instances": [2.0]}, "response": {"predictions": [3.0]}}
    path.write_text('{"instances": [1.0]}\n' + json.dumps(pair) + "\n")
    return path


def study(url: str, requests: Path, *settings: str, **keys: object) -> StudySpec:
    spec = EndpointSpec(url, ready_seconds=0.3, **keys)  # type: ignore[arg-type]
    load = with_requests(QUICK, requests, None)
    return with_settings(study_of_endpoint(spec, load), settings, Host.this())


def measured(spec: StudySpec) -> TrialResult:
    with endpoint_backend(spec) as backend:
        return backend.run_trial(TrialRequest(spec.search_space.baseline(), "0000"))


def art_ms(result: TrialResult) -> float:
    assert result.measurement is not None
    return result.measurement.metrics["art_ms"].value


def chunked(target: str, body: bytes) -> bytes:
    head, _, plain = predicted(target, body).partition(b"\r\n\r\n")
    head = re.sub(rb"\r\nContent-Length: \d+", b"\r\nTransfer-Encoding: chunked", head)
    pieces = [plain[:7], plain[7:]]
    return (
        head + b"\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    )


def zipped(target: str, body: bytes) -> bytes:
    plain = predicted(target, body).partition(b"\r\n\r\n")[2]
    return response(gzip.compress(plain), "Content-Encoding: gzip")


def of_http_1_0(target: str, body: bytes) -> bytes:
    plain = predicted(target, body).partition(b"\r\n\r\n")[2]
    return response(plain, version="1.0", length=False)


def after_continue(target: str, body: bytes) -> bytes:
    return b"HTTP/1.1 100 Continue\r\n\r\n" + predicted(target, body)


@pytest.mark.parametrize("reply", [predicted, chunked, zipped, of_http_1_0, after_continue])
def test_answers_of_every_form_are_counted_and_checked(reply: Reply, requests: Path) -> None:
    with endpoint(reply) as server:
        result = measured(study(server.url, requests, "concurrency=2"))
    assert result.measurement is not None
    assert result.measurement.errors == {}
    assert result.measurement.metrics["error_rate"].value == 0
    assert 2 < art_ms(result) < 500
    # Nobody said where CPU time is counted, so none is made up.
    assert not {"cpu_percent", "memory_peak_mib", "foreign_percent"} & set(
        result.measurement.metrics
    )
    heads = set(server.heads)
    assert all(f"Host: 127.0.0.1:{server.server_address[1]}" in head for head in heads)


def redirecting(_target: str, _body: bytes) -> bytes:
    return response(b"", "Location: http://127.0.0.1:1/new", status="307 Temporary Redirect")


def answering(body: bytes, *headers: str, status: str = "200 OK") -> Reply:
    return lambda _target, _body: response(body, *headers, status=status)


def of_v2(target: str, _body: bytes) -> bytes:
    if target == "/v2":
        return response(b'{"name": "mlserver", "version": "1"}')
    return response(b'{"detail": "Not Found"}', status="404 Not Found")


@pytest.mark.parametrize(
    ("reply", "message", "mend"),
    [
        (redirecting, "answers 307 and redirects to http://127.0.0.1:1/new", "the address that"),
        (answering(b'{"error": "no model"}'), '200 with an error inside: {"error": "no', "mend"),
        (answering(b"<html>"), "answers 200 with what is not JSON: '<html>'", "path"),
        (answering(b'{"predictions": [9]}'), "not the recorded response", "correct the response"),
        (answering(b"busy", status="503 Unavailable"), "answers 503: 'busy'", "mend the service"),
        (answering(b"x", "Content-Encoding: br"), "in the encoding 'br'", "turn off"),
        (of_v2, r"speaks the Open Inference Protocol \(V2\)", "/v2/models/NAME/infer"),
    ],
)
def test_what_does_not_answer_rightly_is_named_with_a_mend(
    reply: Reply, message: str, mend: str, requests: Path
) -> None:
    with endpoint(reply) as server, pytest.raises(InputError, match=message) as refused:
        measured(study(server.url, requests))
    assert mend in refused.value.mend


def test_a_long_answer_is_counted_whole_and_held_nowhere(requests: Path) -> None:
    whole = response(b" " * (100 * 2**20))
    with endpoint(lambda _t, _b: whole) as server:
        result = measured(study(server.url, requests))
    assert result.burst is not None
    assert np.count_nonzero(result.burst.samples.outcome == RequestOutcome.OK) > 0
    assert result.measurement is not None
    assert "WRONG_ANSWER" not in result.measurement.errors


def test_load_is_sent_over_tls_to_who_can_show_the_certificate(
    requests: Path, tmp_path: Path
) -> None:
    context, certificate = own_authority(tmp_path)
    with endpoint(tls=context) as server:
        result = measured(study(server.url, requests, ca=str(certificate)))
        assert result.measurement is not None
        assert result.measurement.errors == {}
        with pytest.raises(SetupError, match=r"certificate is not trusted.*self") as refused:
            measured(study(server.url, requests))
        assert "endpoint.ca" in refused.value.mend
    with endpoint() as plain, pytest.raises(SetupError, match="speaks no TLS"):
        measured(study(plain.url.replace("http:", "https:"), requests))


def test_proxies_of_the_environment_never_reroute_load(
    requests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with endpoint() as server:
        assert measured(study(server.url, requests)).measurement is not None


def test_a_closed_loop_sends_no_more_than_it_may(requests: Path) -> None:
    with endpoint(seconds=0) as server:
        result = measured(study(server.url, requests, "concurrency=4", most_rps=50.0))
    assert result.measurement is not None
    assert result.measurement.metrics["throughput_rps"].value < 80


def test_an_open_loop_may_ask_for_no_more(requests: Path) -> None:
    spec = study("http://127.0.0.1:9/", requests, "rate=100", "concurrency=4", most_rps=50.0)
    with endpoint() as server:
        assert spec.endpoint is not None
        spec = replace(spec, endpoint=replace(spec.endpoint, url=server.url))
        with pytest.raises(InputError, match=r"100 requests/s, more than endpoint\.most_rps"):
            measured(spec)


def test_nothing_there_is_said_with_its_address(requests: Path) -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9/.* did not answer within 0.3 s"):
        measured(study("http://127.0.0.1:9/", requests))


STUDY = """\
endpoint:
  url: {url}
  apply: ["{python}", set.py, "{{threads}}", "{{cpu}}"]
  apply_seconds: 2
search_space:
  concurrency: {{role: scenario, type: int, choices: [2], default: 2}}
  cpu: {{role: decision, type: float, choices: [0.5, 1], default: 1}}
  threads: {{role: decision, type: int, choices: [1, 2, 3], default: 1, env: THREADS}}
load: {{requests: requests.jsonl, min_seconds: 0.3, max_seconds: 0.4, min_requests: 20}}
objectives: [art_ms]
budget: {{trials: 2}}
"""


def switched(tmp_path: Path, script: str, url: str) -> EndpointBackend:
    (tmp_path / "set.py").write_text("import sys, time\nthreads, cpu = sys.argv[1:]\n" + script)
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY.format(url=url, python=sys.executable))
    return endpoint_backend(load_study(str(path), Host.this()))


def test_the_command_gets_the_values_and_no_shell(tmp_path: Path, requests: Path) -> None:
    script = "open('seen', 'a').write(f'{threads} {cpu}\\n')"
    with endpoint() as server, switched(tmp_path, script, server.url) as backend:
        one = backend.study.search_space.baseline()
        first = backend.run_trial(TrialRequest(one, "0000"))
        assert first.deployment["applied"] == {"threads": "1", "cpu": "1"}
        again = backend.run_trial(TrialRequest(one, "0001"))
    assert again.deployment["stayed"]
    assert (tmp_path / "seen").read_text() == "1 1\n", "what is as it was is not applied again"
    assert first.measurement is not None
    assert first.measurement.metrics["ready_seconds"].value > 0
    assert requests.exists()


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("sys.exit(3)", None, "it cannot serve"),
        ("print('\\x1b[31mno'); sys.exit(4)", TrialFailed, "(?s)exit code 4.*no"),
        ("time.sleep(60)", TrialFailed, "did not end within 2 s"),
    ],
)
def test_the_exit_code_says_what_became_of_it(
    script: str, error: type[TuneError] | None, message: str, tmp_path: Path, requests: Path
) -> None:
    assert requests.exists()
    began = time.monotonic()
    with switched(tmp_path, script, "http://127.0.0.1:9/") as backend:
        request = TrialRequest(backend.study.search_space.baseline(), "0000")
        if error is None:
            reason = backend.run_trial(request).infeasible
            assert reason is not None
            assert re.search(message, reason.message)
        else:
            with pytest.raises(error, match=message) as failed:
                backend.run_trial(request)
            assert "\x1b" not in str(failed.value)
    assert time.monotonic() - began < 30


def test_a_metric_that_nobody_counts_is_said_before_the_run(requests: Path, tmp_path: Path) -> None:
    with endpoint() as server:
        spec = study(server.url, requests)
        asked = replace(spec, objectives=(replace(spec.objectives[0], metric="cpu_percent"),))
        make: Callable[[], EndpointBackend] = lambda: endpoint_backend(asked)  # noqa: E731
        said = list(checks(asked, tmp_path, "sqlite:///x.db", make, backend="endpoint"))
    (metrics,) = (check for check in said if check.name == "metrics")
    assert not metrics.ok
    assert "endpoint.usage" in metrics.mend
    assert all(check.ok for check in said if check.name == "backend")


@pytest.mark.parametrize(
    ("usage", "message"),
    [
        (UsageSpec(cgroup="/no/such"), "no control group '/no/such'"),
        (UsageSpec(prometheus="http://127.0.0.1:9", cpu="up"), "Prometheus at .* cannot be read"),
    ],
)
def test_usage_that_cannot_be_read_is_refused(
    usage: UsageSpec, message: str, requests: Path
) -> None:
    with endpoint() as server, pytest.raises(SetupError, match=message):
        measured(study(server.url, requests, usage=usage))


def test_another_machine_is_refused_unless_it_may_be_loaded(requests: Path) -> None:
    spec = study("http://192.0.2.1/v1/models/m:predict", requests)
    with pytest.raises(InputError, match=r"192\.0\.2\.1, which is not this machine"):
        endpoint_backend(spec)
    assert endpoint_backend(spec, BackendOptions(may_load=True)).name == "endpoint"


def test_what_is_counted_here_is_on_this_machine() -> None:
    url = endpoint_url("http://192.0.2.1/", may_load=True)
    assert is_local(url, UsageSpec(container="m"))
    assert not is_local(url, UsageSpec(prometheus="http://127.0.0.1:9090", cpu="up"))
    assert not is_local(url, UsageSpec())


def test_a_study_of_an_endpoint_is_not_deployed_and_nothing_is_stored(
    tmp_path: Path, requests: Path
) -> None:
    assert requests.exists()
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY.format(url="http://127.0.0.1:9/", python=sys.executable))
    opened = Study.open(path, root=tmp_path)
    with pytest.raises(InputError, match="measures an endpoint") as refused:
        opened.run(trials=1)
    assert refused.value.mend == "say --backend endpoint"
    assert not opened.results.exists()
