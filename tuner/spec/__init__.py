"""Study specifications: YAML files become frozen, validated values.

All other rooms use `space`, `metrics`, `study` and `host`, which import nothing heavy. `load` makes
their values from YAML. It needs Pydantic, so import it only where a study is loaded.
"""
