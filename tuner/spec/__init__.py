"""Study specifications: from YAML to frozen, validated values.

`space`, `metrics`, `study` and `host` hold the values that all other rooms work with and import
nothing heavy. `load` makes them from YAML; import it where a study is loaded, since it needs
Pydantic.
"""
