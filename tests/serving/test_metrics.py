from hypothesis import given
from hypothesis import strategies as st

from tuner.serving.server.metrics import Metrics, exponential
from tuner.serving.server.status import Code

LATENCY = ":tensorflow:serving:request_latency"
LABELS = 'model_name="m",API="Predict",entrypoint="GRPC"'


def samples(page: str) -> dict[str, float]:
    lines = (line for line in page.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_requests_are_counted_by_model_and_status() -> None:
    metrics = Metrics()
    metrics.request("m", Code.OK)
    metrics.request("m", Code.OK)
    metrics.request('a"\\b', Code.NOT_FOUND)
    assert samples(metrics.page()) == {
        ':tensorflow:serving:request_count{model_name="m",status="OK"}': 2,
        r':tensorflow:serving:request_count{model_name="a\"\\b",status="NOT_FOUND"}': 1,
    }


@given(st.lists(st.floats(0, 10**5), min_size=1, max_size=30))
def test_buckets_add_up(seconds: list[float]) -> None:
    metrics = Metrics()
    for value in seconds:
        metrics.request_latency("m", "Predict", "GRPC", value)
    page = metrics.page()
    assert f"# TYPE {LATENCY} histogram\n" in page
    found = samples(page)
    counts = [
        found[f'{LATENCY}_bucket{{{LABELS},le="{limit:g}"}}'] for limit in exponential(10, 1.8, 33)
    ]
    counts.append(found[f'{LATENCY}_bucket{{{LABELS},le="+Inf"}}'])
    assert counts == sorted(counts)
    assert counts[-1] == found[f"{LATENCY}_count{{{LABELS}}}"] == len(seconds)
    assert counts[0] == sum(value * 1e6 <= 10 for value in seconds)
    total = found[f"{LATENCY}_sum{{{LABELS}}}"]
    assert abs(total - sum(seconds) * 1e6) <= 1e-5 * total


def test_the_page_of_a_new_server_has_types_only() -> None:
    lines = Metrics().page().splitlines()
    assert lines[0] == "# TYPE :tensorflow:serving:request_count counter"
    assert all(line.startswith("# TYPE ") for line in lines)
