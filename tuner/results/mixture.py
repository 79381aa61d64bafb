"""What rules the overall front of a study with scenarios, counted in its points."""

from __future__ import annotations

from collections import Counter

from tuner.measure.record import StudyRecord
from tuner.results.summary import Summary
from tuner.results.wording import plain, together


def mixture_of_scenarios(study: StudyRecord, summary: Summary) -> str:
    """In sentences: of which scenarios the overall front is made, and why it answers no question.

    Empty where there are no two scenarios to mix.
    """
    if len(summary.scenarios) < 2 or not summary.front:
        return ""
    shares = []
    for name in study.scenario_parameters:
        values = Counter(t.configuration[name] for t in summary.front if name in t.configuration)
        if values and len({t.configuration.get(name) for t in study.trials}) > 1:
            value, times = values.most_common(1)[0]
            shares.append(f"{times} have {name}={plain(value)}")
    return (
        f"The overall front mixes {len(summary.scenarios)} scenarios, and nobody chooses a"
        f" scenario: of its {len(summary.front)} points {together(shares)}. Decide by the"
        " scenario that you expect."
    )
