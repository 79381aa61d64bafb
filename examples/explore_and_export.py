"""Run a simulated study, read the front of one scenario, and export its best compromise."""

from tuner import Study

expected = {"concurrency": 4, "loss": 0}  # the load and the network that you expect

study = Study.open("mnist", backend="simulated")  # "docker" measures real containers
study.run(trials=12)

front = study.front(expected)
print(front[["cpu", "memory", "replicas", "art_ms", "cpu_percent"]].to_string())

study.export("compose", scenario=expected, output="compose.yaml")
print("compose.yaml deploys", study.recommend(expected).configuration)
