"""The messages of the gRPC API against bytes that tensorflow-serving-api 2.21.0 wrote."""

from pathlib import Path

import pytest
from google.protobuf import text_format

from tuner.serving.server.messages import message_class, read_proto, read_text

WRITTEN = [
    (
        "PredictRequest",
        "0a0e0a016d1a01732206737461626c6512170a0178121208011204120208022a080000c03f000000c01a0179",
        """
        model_spec { name: "m" signature_name: "s" version_label: "stable" }
        inputs { key: "x" value {
          dtype: DT_FLOAT tensor_shape { dim { size: 2 } } float_val: 1.5 float_val: -2 } }
        output_filter: "y"
        """,
    ),
    (
        "PredictResponse",
        "0a100a0179120b08071204120208014201ff12070a016d12020803",
        r"""
        outputs { key: "y" value {
          dtype: DT_STRING tensor_shape { dim { size: 1 } } string_val: "\377" } }
        model_spec { name: "m" version { value: 3 } }
        """,
    ),
    (
        "ClassificationRequest",
        "0a030a016d122212200a0e0a0c0a0a0a016112051a030a0105120e0a0c0a0a0a016212050a030a0171",
        r"""
        model_spec { name: "m" }
        input { example_list_with_context {
          examples: "\n\014\n\n\n\001a\022\005\032\003\n\001\005"
          context: "\n\014\n\n\n\001b\022\005\n\003\n\001q" } }
        """,
    ),
    (
        "ClassificationResponse",
        "0a0e0a0c0a0a0a03636172150000003f12030a016d",
        """
        result { classifications { classes { label: "car" score: 0.5 } } }
        model_spec { name: "m" }
        """,
    ),
    (
        "RegressionResponse",
        "0a070a050d0000204012030a016d",
        'result { regressions { value: 2.5 } } model_spec { name: "m" }',
    ),
    (
        "GetModelMetadataRequest",
        "0a030a016d120d7369676e61747572655f646566",
        'model_spec { name: "m" } metadata_field: "signature_def"',
    ),
    (
        "SignatureDefMap",
        (
            "0a4c0a0f73657276696e675f64656661756c7412390a1b0a017812160a03783a3010011a0d120b08ffffff"
            "ffffffffffff011a1a74656e736f72666c6f772f73657276696e672f70726564696374"
        ),
        """
        signature_def { key: "serving_default" value {
          inputs { key: "x" value {
            name: "x:0" dtype: DT_FLOAT tensor_shape { dim { size: -1 } } } }
          method_name: "tensorflow/serving/predict" } }
        """,
    ),
    (
        "GetModelStatusResponse",
        "0a0e080210321a0808051204676f6e65",
        """
        model_version_status {
          version: 2 state: END status { error_code: 5 error_message: "gone" } }
        """,
    ),
]


@pytest.mark.parametrize(("name", "written", "text"), WRITTEN, ids=[case[0] for case in WRITTEN])
def test_messages_are_those_of_tensorflow_serving(name: str, written: str, text: str) -> None:
    kind = message_class(name)
    message = text_format.Parse(text, kind())
    assert message.SerializeToString(deterministic=True).hex() == written
    assert kind.FromString(bytes.fromhex(written)) == message


def test_a_file_is_read_with_all_that_it_may_have() -> None:
    file = read_proto(
        "a.proto",
        """
        syntax = "proto3";  // a comment; message No {}
        package a.b;
        import "c.proto";
        enum Color { RED = 0; BLUE = 5; }
        message Outer {
          message Inner { bytes data = 1; }
          enum Kind { NONE = 0; }
          oneof choice { Inner one = 1; string two = 2; }
          repeated Color colors = 3;
          map<string, Inner> named_parts = 4;
          a.b.Outer next = 5;
        }
        """,
    )
    assert (file.name, file.package, list(file.dependency)) == ("a.proto", "a.b", ["c.proto"])
    assert [(value.name, value.number) for value in file.enum_type[0].value] == [
        ("RED", 0),
        ("BLUE", 5),
    ]
    (outer,) = file.message_type
    assert [nested.name for nested in outer.nested_type] == ["Inner", "NamedPartsEntry"]
    assert outer.nested_type[1].options.map_entry
    fields = {field.name: field for field in outer.field}
    assert [field.HasField("oneof_index") for field in outer.field] == [True, True] + [False] * 3
    assert fields["colors"].label == fields["named_parts"].label == 3
    assert (fields["next"].number, fields["next"].type_name) == (5, "a.b.Outer")


def test_an_unknown_message_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        message_class("Nothing")


def test_a_configuration_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    file = tmp_path / "batching.txt"
    file.write_text("max_batch_size { value: 8 }\nnonsense: 1")
    with pytest.raises(ValueError, match=rf"Invalid protobuf file: '{file}': 2:1"):
        read_text("BatchingParameters", file)
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="Invalid protobuf file"):
        read_text("BatchingParameters", file)
