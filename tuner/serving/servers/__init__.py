"""The servers that a study can run, one file each.

A server is one frozen `Server` (`server`): how its container runs, how to see that it is ready,
what requests look like and which answers are right, which flags it has. Everything that differs
between servers is asked of that object. To add one:

1. Write `servers/<name>.py` with a `Server`. Its plan (`tuner.serving.container_plan`) says
   command, ports, mount and readiness; each of its `requests` translates golden requests into
   `Call`s and judges answers. `tensorflow_serving` is the example.
2. Name it in `SERVERS` (`table`). A package of its own names it as an entry point in the group
   `tune.servers` instead.
3. Where tune builds its image, give it an `ImageRecipe` (`tuner.serving.image`).
4. Write its flags and variables, under their names upstream, as a search space
   `search_spaces/<name>.yaml`, and name that in the `Server`.
5. Add it to the cases of `tests/serving/test_server_conformance.py`.

A model names its server in `model.yaml` (`server: <name>`), and a study may name another one.
"""
