"""A study of six configurations, whose simulated grid takes no time."""

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 4], default: 4}
  cpu: {role: decision, type: float, choices: [0.25, 0.5, 1], default: 1}
  memory: {role: decision, type: int, choices: [256], default: 256}
  replicas: {role: decision, type: int, choices: [1], default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
objectives: [art_ms, cpu_percent]
budget: {trials: 4}
search: {sampler: random}
seed: 3
"""
