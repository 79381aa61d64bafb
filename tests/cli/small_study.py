"""Studies of a few configurations, whose simulated grids take no time."""


def small_study(
    cpu: str = "[0.25, 0.5, 1]", replicas: str = "[1]", trials: int = 4, seed: int = 3
) -> str:
    """Its study.yaml: two scenarios, and decisions of these `cpu` and `replicas`."""
    return f"""\
model: mnist
search_space:
  concurrency: {{role: scenario, type: int, choices: [1, 4], default: 4}}
  cpu: {{role: decision, type: float, choices: {cpu}, default: 1}}
  memory: {{role: decision, type: int, choices: [256], default: 256}}
  replicas: {{role: decision, type: int, choices: {replicas}, default: 1}}
  loss: {{role: scenario, type: float, choices: [0], default: 0}}
load: {{min_seconds: 0.5, max_seconds: 1, min_requests: 50}}
objectives: [art_ms, cpu_percent]
budget: {{trials: {trials}}}
search: {{sampler: random}}
answer: {{expected: {{concurrency: 4, loss: 0}}}}
seed: {seed}
"""
