from pathlib import Path

import pytest

from tuner.serving.server import flags
from tuner.serving.server.batching import BatchingParameters


def test_the_environment_says_what_flags_do_not() -> None:
    (model,) = flags.read([], {"MODEL_NAME": "mnist"}).models
    assert (model.name, model.base_path) == ("mnist", Path("/models/mnist"))
    (model,) = flags.read(["--model_name=a"], {"MODEL_BASE_PATH": "/b", "MODEL_NAME": "c"}).models
    assert (model.name, model.base_path) == ("a", Path("/b/a"))
    (model,) = flags.read(["--model_base_path=/x/y"], {}).models
    assert (model.name, model.base_path) == ("model", Path("/x/y"))


def test_ports_and_limits_have_tensorflow_servings_defaults() -> None:
    settings = flags.read([], {})
    assert (settings.rest_port, settings.grpc_port) == (8501, 8500)
    assert settings.metrics_path == "/monitoring/prometheus/metrics"
    assert settings.poll_seconds == 1
    assert settings.batching is None
    assert settings.inter_op_threads == -1
    assert flags.read(["--port=0"], {}).grpc_port == 0


def test_one_flag_for_both_thread_pools() -> None:
    settings = flags.read(["--tensorflow_session_parallelism=3"], {})
    assert (settings.intra_op_threads, settings.inter_op_threads) == (3, 3)
    settings = flags.read(
        ["--tensorflow_session_parallelism=3", "--tensorflow_intra_op_parallelism=0"], {}
    )
    assert (settings.intra_op_threads, settings.inter_op_threads) == (0, 3)


def test_batching_by_flags() -> None:
    settings = flags.read(
        [
            "--enable_batching=true",
            "--max_batch_size=8",
            "--batch_timeout_micros=500",
            "--num_batch_threads=2",
            "--max_enqueued_batches=5",
            "--allowed_batch_sizes=4,8",
            "--pad_variable_length_inputs",
        ],
        {},
    )
    assert settings.batching == BatchingParameters(
        num_batch_threads=2,
        max_batch_size=8,
        batch_timeout_micros=500,
        max_enqueued_batches=5,
        allowed_batch_sizes=(4, 8),
        pad_variable_length_inputs=True,
    )
    # Twice the batch, so that one can be filled while another is run.
    assert settings.rest_threads >= 16
    assert settings.grpc_threads >= 16


def test_batching_by_file_and_a_flag_that_wins(tmp_path: Path) -> None:
    file = tmp_path / "batching.txt"
    file.write_text(
        """
        max_batch_size { value: 128 }  # rows
        batch_timeout_micros { value: 0 }
        max_enqueued_batches { value: 1000000 }
        num_batch_threads { value: 8 }
        thread_pool_name { value: "pool" }
        allowed_batch_sizes: [64, 128]
        pad_variable_length_inputs: true
        """
    )
    given = ["--enable_batching", f"--batching_parameters_file={file}", "--num_batch_threads=3"]
    assert flags.read(given, {}).batching == BatchingParameters(
        num_batch_threads=3,
        max_batch_size=128,
        max_enqueued_batches=1000000,
        thread_pool_name="pool",
        allowed_batch_sizes=(64, 128),
        pad_variable_length_inputs=True,
    )


def test_models_by_file(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(
        """
        model_config_list {
          config { name: "a" base_path: "/models/a" }
          config { name: "b" base_path: "/models/b" model_version_policy { all {} } }
          config {
            name: "c" base_path: "/models/c"
            model_version_policy { specific { versions: 42 versions: 43 } }
            version_labels { key: "stable" value: 42 }
          }
          config {
            name: "d" base_path: "/models/d"
            model_version_policy { latest { num_versions: 2 } }
          }
        }
        """
    )
    models = flags.read([f"--model_config_file={file}"], {}).models
    assert [model.name for model in models] == ["a", "b", "c", "d"]
    there = {1, 2, 42, 43}
    assert [model.policy(there) for model in models] == [{43}, there, {42, 43}, {42, 43}]
    assert models[2].labels == {"stable": 42}


def test_metrics_by_file(tmp_path: Path) -> None:
    file = tmp_path / "monitoring.txt"
    given = [f"--monitoring_config_file={file}"]
    file.write_text('prometheus_config { enable: true, path: "/metrics" }')
    assert flags.read(given, {}).metrics_path == "/metrics"
    file.write_text("prometheus_config { enable: true }")
    assert flags.read(given, {}).metrics_path == "/monitoring/prometheus/metrics"
    file.write_text("prometheus_config { enable: false }")
    assert flags.read(given, {}).metrics_path is None


def test_arguments_of_grpc() -> None:
    given = ["--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.a=b"]
    assert flags.read(given, {}).grpc_arguments == {
        "grpc.max_connection_age_ms": 2000,
        "grpc.a": "b",
    }


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (["--rest_api_num_threads=none"], "--rest_api_num_threads"),
        (["--rest_api_num_threads=0"], "0 is not positive"),
        (["--port=70000"], "70000 is not a port"),
        (["--enable_batching=maybe"], "maybe is not true or false"),
        (["--max_batch_size=8"], "--max_batch_size is set without setting --enable_batching"),
        (["--batching_parameters_file=x"], "--batching_parameters_file is set without setting"),
        (["--enable_batching", "--batch_timeout_micros=-1"], "must not be negative; was -1"),
        (["--enable_batching", "--batching_parameters_file=/nowhere"], "/nowhere"),
        (["--model_config_file=/nowhere"], "/nowhere"),
        (["--grpc_channel_arguments=a"], "a is not name=value"),
    ],
)
def test_a_wrong_flag_is_refused(
    given: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        flags.read(given, {})
    assert caught.value.code == 2
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("model_config_list {", "Invalid protobuf file"),
        ("", "must have models"),
        ('model_config_list { config { name: "a" } config { name: "a" } }', "a name of its own"),
        (
            'model_config_list { config { name: "a" model_platform: "caffe" } }',
            "model_platform caffe is not supported",
        ),
        (
            'model_config_list { config { name: "a" model_version_policy { specific {} } } }',
            "at least one version",
        ),
    ],
)
def test_a_wrong_list_of_models_is_refused(
    text: str, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "models.config"
    file.write_text(text)
    with pytest.raises(SystemExit) as caught:
        flags.read([f"--model_config_file={file}"], {})
    assert caught.value.code == 2
    assert error in capsys.readouterr().err
