"""The front door: a study as one object. The command line calls it and nothing beside it.

    from tuner import Study

    study = Study.open("mnist", backend="simulated").run(trials=20)
    busy = {"concurrency": 16, "loss": 0}
    print(study.recommend(busy))
    study.export("compose", scenario=busy, output="compose.yaml")

A method imports what it needs when it is called, so that opening a study is cheap.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tuner.errors import InputError
from tuner.spec.space import Configuration, Value

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from tuner.backends.backend import Backend
    from tuner.backends.hosts import Hosts
    from tuner.backends.repeats import Repeats
    from tuner.export.render import ExportFormat
    from tuner.measure.capacity import Capacity
    from tuner.measure.measurement import Measurement
    from tuner.measure.record import StudyRecord, TrialRecord
    from tuner.render.images import ImageFormat
    from tuner.results.against import Comparison
    from tuner.results.chosen import ChosenConfiguration
    from tuner.results.confirmation import Confirmation
    from tuner.results.explain import Explanation
    from tuner.results.outcomes import Outcome
    from tuner.results.study_file import FinishedStudy
    from tuner.results.two_studies import TwoStudies
    from tuner.spec.host import Host
    from tuner.spec.study import SamplerName, Stage, StudySpec
    from tuner.study.check_line import Check
    from tuner.study.loop import Event
    from tuner.study.next import Goal
    from tuner.study.plan import Plan
    from tuner.trial import Observe, TrialResult
    from tuner.verify.result import Verified

Scenario = Mapping[str, Value] | str
"""Values of scenario parameters: a mapping, or a text such as `loss=1,concurrency=8`.

A parameter may be left out where the others leave only one measured scenario.
"""


@dataclass(frozen=True)
class Begun:
    """The first event of a run: what the study holds, and when the run will stop."""

    record: StudyRecord
    goal: Goal


class Study:
    """A study: what to explore, where its trials are stored, and what runs them.

    Make one with `Study.open`. Reading methods see the finished trials as they are stored at the
    time of the call, also while another process runs the study. Every method raises a
    `tuner.errors.TuneError` whose message says what is wrong and whose `mend` says what to do.
    """

    def __init__(
        self,
        specification: StudySpec | None,
        *,
        url: str,
        backend: str,
        replay: Path | None,
        grid: bool,
        file: FinishedStudy | None = None,
        given: str = "",
        may_load: bool = False,
        on: str | None = None,
        senders_on: str | None = None,
        resolve: Callable[[Host], StudySpec] | None = None,
    ) -> None:
        self._specification = specification
        self._given = given
        """What opens this study from the same directory: its name, or its path."""
        self.url = url
        """The Optuna storage URL; empty for a study file."""
        self.backend: str = backend
        """Who runs the trials: `docker`, `simulated` or `replay`."""
        self.grid = grid
        """Whether this is the study's full grid, which has a storage of its own."""
        self.on = on
        """The Dask cluster whose hosts measure (`dask://HOST:8786`); None for this host."""
        self.senders_on = senders_on
        """The Dask cluster whose hosts send the load; None where whoever measures sends."""
        self._resolve = resolve
        self._replay = replay
        self._file = file
        self._may_load = may_load

    @classmethod
    def open(
        cls,
        study: str | Path,
        *,
        storage: str | None = None,
        backend: str = "docker",
        replay: str | Path | None = None,
        sampler: SamplerName | None = None,
        root: str | Path | None = None,
        may_load: bool = False,
        on: str | None = None,
        senders_on: str | None = None,
    ) -> Study:
        """The study of that name, in that `study.yaml`, or in that study file (`.study.zip`).

        `storage` is an Optuna storage URL; by default each backend has a SQLite file of its own
        in the study's results. `replay` is the recorded grid that backend `replay` takes trials
        from; what only reads needs none.
        `sampler` replaces the study's own; `grid` means the full grid. `root` is where studies,
        search spaces and models are looked up, the working directory by default. `may_load` says
        that an endpoint on another machine may be loaded. `on` is the scheduler of a Dask cluster,
        `dask://HOST:8786`, whose hosts measure in place of this one; `senders_on` is one whose
        hosts send the load of what is deployed here. Nothing is created. Raises InputError for a
        study that cannot be read.
        """
        from tuner.backends.dask_cluster import require_fit_for_hosts, require_fit_for_senders
        from tuner.results.study_file import is_study_file, read_study
        from tuner.spec.host import Host
        from tuner.spec.load import load_study, results_directory
        from tuner.spec.study_files import is_found
        from tuner.study.storage import default_url

        recorded = None if replay is None else Path(replay)
        grid, given = sampler == "grid", str(study)
        place = None if root is None else Path(root)
        if on is not None:
            require_fit_for_hosts(on, backend)
        if senders_on is not None:
            require_fit_for_senders(senders_on, backend)
        made = partial(
            cls,
            backend=backend,
            replay=recorded,
            grid=grid,
            may_load=may_load,
            on=on,
            senders_on=senders_on,
        )
        if is_study_file(given):
            return made(None, url="", file=read_study(Path(given)), given=given)

        def resolve(host: Host) -> StudySpec:
            loaded = load_study(str(study), host, place)
            if sampler is None:
                return loaded
            return replace(loaded, search=replace(loaded.search, sampler=sampler))

        specification = resolve(Host.this())
        if is_found(specification.path, "study", specification.name, place or Path.cwd()):
            given = specification.name
        url = storage or default_url(results_directory(specification, place), backend, grid=grid)
        return made(specification, url=url, given=given, resolve=resolve)

    @classmethod
    def of_model(cls, model: str, *, backend: str = "docker") -> Study:
        """A model without a study, to be `narrowed` and to `measure`.

        Its only configuration is `tuner.spec.settings.DEFAULTS`. Raises InputError for an unknown
        model.
        """
        from tuner.spec.host import Host
        from tuner.spec.settings import study_of_model

        specification = study_of_model(model, (), Host.this())
        return cls(specification, url="", backend=backend, replay=None, grid=False)

    @classmethod
    def of_endpoint(
        cls,
        url: str,
        requests: str | Path,
        *,
        template: str | None = None,
        container: str = "",
        ca: str | Path | None = None,
        most_rps: float = 10_000.0,
        may_load: bool = False,
        senders_on: str | None = None,
    ) -> Study:
        """A service that is there already, to be `narrowed` and to `measure_concurrency`.

        It is sent the recorded `requests`. Its CPU time and memory are those of `container`, where
        one is named. `ca` is the file of the authority that signed its certificate. `senders_on`
        is that of `open`. Raises InputError for an address that is not loopback, unless `may_load`
        says that it may be loaded.
        """
        from tuner.backends.dask_cluster import require_fit_for_senders
        from tuner.load.study_requests import with_requests
        from tuner.spec.settings import study_of_endpoint
        from tuner.spec.study import EndpointSpec, LoadSpec, UsageSpec

        if senders_on is not None:
            require_fit_for_senders(senders_on, "endpoint")
        endpoint = EndpointSpec(
            url,
            ca="" if ca is None else str(Path(ca).absolute()),
            most_rps=most_rps,
            usage=UsageSpec(container),
        )
        load = with_requests(LoadSpec(), Path(requests), template)
        specification = study_of_endpoint(endpoint, load)
        return cls(
            specification,
            url="",
            backend="endpoint",
            replay=None,
            grid=False,
            may_load=may_load,
            senders_on=senders_on,
        )

    # ---- what it is ------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.record.name if self._specification is None else self._specification.name

    @property
    def specification(self) -> StudySpec:
        """What is explored, validated and frozen.

        Raises InputError for a study file whose model is not on this machine.
        """
        if self._specification is not None:
            return self._specification
        from tuner.verify.specification import specification_of

        return specification_of(self.record)

    @property
    def results(self) -> Path:
        """The directory of the study's results; it need not exist."""
        from tuner.spec.load import results_directory

        return results_directory(self._runnable())

    @property
    def finished(self) -> FinishedStudy:
        """The finished trials with the samples of their bursts. Raises InputError before a run."""
        if self._file is not None:
            return self._file
        from tuner.study.storage import finished_study, open_storage

        if not self.url:
            raise InputError(
                f"model {self._runnable().model.name!r} was opened without a study, so it has no"
                " trials",
                "open a study by its name",
            )
        return finished_study(self.name, open_storage(self.url, create=False), self.results)

    @property
    def record(self) -> StudyRecord:
        """The finished trials. Raises InputError before a run."""
        return self.finished.record

    @property
    def optuna(self) -> optuna.Study:
        """The Optuna study underneath, to read with any tool of Optuna. Raises InputError."""
        from tuner.study.storage import open_storage, optuna_study

        self._runnable()
        return optuna_study(self.name, open_storage(self.url, create=False))

    def __repr__(self) -> str:
        from tuner.study.storage_url import without_password

        where = "a study file" if self._file is not None else without_password(self.url)
        return f"<tuner.Study {self.name!r}, backend {self.backend}, {where}>"

    def _repr_html_(self) -> str:
        """The answer so far, for a notebook."""
        from tuner.pages.blocks import Words
        from tuner.pages.sources import Sources
        from tuner.pages.summary_section import answer, asked
        from tuner.render.html import to_fragment
        from tuner.results.in_words import not_measured

        try:
            sources = Sources.of(self.finished)
        except InputError as error:
            return to_fragment([Words(f"Study {self.name}: {error.message}. {error.mend}")])
        notice = " ".join(not_measured(sources.record))
        first = [Words(notice, "doubt")] if notice else []
        return to_fragment([*first, *answer(sources).blocks, *asked(sources).blocks])

    def selecting(self, *, grid: bool | None = None) -> str:
        """The options that select this study, its backend and its storage, for a command to copy.

        `grid` says whether the command has `--sampler grid` (by default, as the study has). A
        storage is named without its password.
        """
        from tuner.study.storage import default_url
        from tuner.study.storage_url import without_password

        options = ["--study", self._given]
        options += [] if self.backend == "docker" else ["--backend", self.backend]
        if self._file is None:
            at_grid = self.grid if grid is None else grid
            usual = default_url(self.results, self.backend, grid=at_grid)
            options += [] if self.url == usual else ["--storage", without_password(self.url)]
        return shlex.join(options)

    # ---- running it ------------------------------------------------------------------------

    def check(self) -> Sequence[Check]:
        """All that a run needs: each check is ok, or says how to mend it."""
        from tuner.measure.record import StudyRecord
        from tuner.spec.fingerprint import to_dict
        from tuner.study.check import checks, checks_on

        specification = self._runnable()
        if self.on is not None:
            return tuple(
                checks_on(self.on, specification, self.results, self.url, backend=self.backend)
            )
        so_far = StudyRecord.of(self.name, to_dict(specification), {}, ())
        make = partial(self._made_backend, so_far)
        return tuple(
            checks(
                specification,
                self.results,
                self.url,
                make,
                backend=self.backend,
                senders_on=self.senders_on,
            )
        )

    def plan(self) -> Plan:
        """What the full grid and the budget would take, estimated from finished trials."""
        from tuner.study.plan import plan_study
        from tuner.study.storage import finished_trials

        specification = self._runnable()
        return plan_study(specification, finished_trials(specification.name, self.url))

    def run(
        self,
        trials: int | None = None,
        *,
        repeat: Sequence[int] = (),
        passes: int = 1,
        warm_start: str | None = None,
        on_event: Callable[[Begun | Event], None] = lambda _: None,
    ) -> Study:
        """Run the study to its budget, or `trials` more; resume it where it was interrupted.

        `repeat` are trials whose configurations are measured once more. The full grid is measured
        `passes` times. `warm_start` names a study whose model this one begins with. `on_event` is
        told each event as it happens (`tuner.study.loop.Event`), first a `Begun`. Returns the
        study. Raises InputError before anything is stored, TuneError where the world breaks too
        many trials in a row; an interrupt passes through, with nothing left running.
        """
        from tuner.search.make_sampler import require_sampler
        from tuner.study.check import require_places
        from tuner.study.loop import goal, run_on
        from tuner.study.queue import queue_repeat
        from tuner.study.start import start_or_resume
        from tuner.study.start import warm_start as begin_warm
        from tuner.study.storage import open_storage, study_record

        specification = self._runnable()
        # Before there is a database, which would be an empty one.
        require_sampler(specification.search.sampler, specification.search_space)
        self._require_fit()
        require_places(self.results, self.url)
        with self._hosts() as (specification, hosts_of):
            storage = open_storage(self.url, create=True)
            study = start_or_resume(specification, storage, self.backend)
            if warm_start is not None:
                begin_warm(study, warm_start, self._url_of)
            for number in repeat:
                queue_repeat(specification, study, number)
            until = goal(specification, study, trials, len(repeat), passes if self.grid else 0)
            record = study_record(study)
            hosts = hosts_of(record)
            on_event(Begun(record, until))
            run_on(specification, study, hosts, self.results, until, on_event)
        return self

    def confirm(
        self,
        top: int = 8,
        reps: int = 3,
        *,
        on_event: Callable[[Begun | Event], None] = lambda _: None,
    ) -> Confirmation:
        """Measure the `top` candidates for the fronts and the baseline `reps` times more.

        Tells which of them stay on a front. Raises as `run`, and InputError where nothing that
        may be on a front was measured.
        """
        from tuner.results.confirmation import confirmation_candidates, confirmed
        from tuner.study.loop import goal, run_on
        from tuner.study.queue import queue_rounds
        from tuner.study.start import start_or_resume
        from tuner.study.storage import open_storage, study_record

        self._require_fit()
        with self._hosts() as (specification, hosts_of):
            storage = open_storage(self.url, create=False)
            study = start_or_resume(specification, storage, self.backend)
            before = study_record(study)
            chosen = confirmation_candidates(before, top)
            if not chosen:
                raise InputError(
                    f"study {self.name!r} has nothing to confirm: no configuration but the baseline"
                    " was measured that may be on a front",
                    f"run more trials: tune run {self.selecting()}",
                )
            hosts = hosts_of(before)
            queue_rounds(specification, study, chosen, reps)
            until = goal(specification, study, None, reps * (len(chosen) + 1))
            on_event(Begun(before, until))
            run_on(specification, study, hosts, self.results, until, on_event)
        return confirmed(before, study_record(study), chosen)

    def narrowed(
        self,
        settings: Sequence[str] = (),
        *,
        trial: int | None = None,
        requests: str | Path | None = None,
        template: str | None = None,
    ) -> Study:
        """One configuration of this study, to `measure` without a trace in it.

        It is the one of `trial`, by default the baseline, changed by `settings` such as `cpu=1` or
        `max_seconds=20` (a key of the study's load). A value need not be one that the study tries.
        It is sent the recorded `requests`, a path, which `template` makes of the rows of a table;
        by default what the study is sent. Raises InputError that names each wrong setting, and for
        a trial that is not there.
        """
        from tuner.load.study_requests import with_requests
        from tuner.spec.host import Host
        from tuner.spec.settings import with_settings

        start = None
        if trial is not None:
            record = self.record
            measured = record.trial(trial)
            if measured is None:
                raise InputError(
                    f"study {record.name!r} has no finished trial {trial}",
                    f"see its trials: tune show {self.selecting()}",
                )
            start = measured.configuration
        one = with_settings(self._runnable(), settings, Host.this(), start)
        if requests is not None:
            load = with_requests(one.load, Path(requests), template)
            one = replace(one, load=load)
        elif template is not None:
            raise InputError("a template is for the rows of recorded requests", "name them too")
        return Study(
            one,
            url=self.url,
            backend=self.backend,
            replay=self._replay,
            grid=self.grid,
            given=self._given,
            may_load=self._may_load,
            senders_on=self.senders_on,
        )

    def measure(
        self,
        repeat: int = 1,
        *,
        on_event: Observe = lambda _: None,
        on_result: Callable[[int, TrialResult], None] = lambda _, __: None,
    ) -> Repeats:
        """Deploy and measure the baseline, or the configuration of a `narrowed` study.

        All is new each of `repeat` times: containers, connections, burst. `on_result` is told every
        result with its index. Raises TrialFailed where the world broke a repeat.
        """
        from tuner.backends.repeats import repeated

        specification = self._runnable()
        backend = self._backend_of(specification)
        configuration = specification.search_space.baseline()
        return repeated(backend, configuration, repeat, on_event, on_result)

    def measure_levels(
        self, stages: Sequence[Stage], *, on_event: Observe = lambda _: None
    ) -> Sequence[Measurement]:
        """Deploy that configuration once, and measure it at each stage's level of load.

        Raises Infeasible where it cannot serve, TrialFailed where the world broke.
        """
        from tuner.backends.repeats import explored

        specification = self._runnable()
        backend = self._backend_of(specification)
        return explored(backend, specification.search_space.baseline(), stages, on_event)

    def measure_capacity(
        self, constraints: Sequence[str] = (), *, on_event: Observe = lambda _: None
    ) -> Capacity:
        """Deploy that configuration once, and find the highest rate at which it holds.

        By `constraints` such as `p95_ms <= 15`, by the study's where none are given, and by an
        error rate of 0.01 where that has none. Raises InputError for what is no constraint,
        Infeasible where it cannot serve, TrialFailed where the world broke.
        """
        from tuner.backends.repeats import capacity_of
        from tuner.spec.expressions import parse_constraint

        specification = self._runnable()
        if constraints:
            parsed = tuple(parse_constraint(text) for text in constraints)
            specification = replace(specification, constraints=parsed)
        backend = self._backend_of(specification)
        return capacity_of(backend, specification.search_space.baseline(), on_event)

    def measure_concurrency(
        self,
        levels: Sequence[int],
        *,
        on_event: Observe = lambda _: None,
        on_result: Callable[[int, TrialResult], None] = lambda _, __: None,
    ) -> Mapping[int, TrialResult]:
        """Measure that configuration at each number of connections, one burst after the other.

        Each burst has its warm-up, and ends by the stop rule. `on_result` is told each result with
        its number of connections. Raises TrialFailed where the world broke a burst.
        """
        from tuner.backends.repeats import at_each

        one = self._runnable().search_space.baseline()
        configurations = {
            level: Configuration.of({**one, "concurrency": level}) for level in levels
        }
        return at_each(self._backend_of(self._runnable()), configurations, on_event, on_result)

    # ---- its answers -----------------------------------------------------------------------

    @property
    def trials(self) -> pd.DataFrame:
        """A row per trial, by number: configuration, outcome, every metric with its 95 % interval.

        Metrics are in their own units; `art_ms` has `art_ms_low` and `art_ms_high` beside it.
        Failed trials say why in `reason`.
        """
        from tuner.results.frames import trials_frame

        return trials_frame(self.record)

    def front(self, scenario: Scenario | None = None) -> pd.DataFrame:
        """The measured Pareto front, sorted by the first objective; of one scenario, or overall.

        A row per configuration: its values are what all its bursts say together
        (`tuner.results.frames.front_frame`). Raises InputError for a scenario that was not
        measured.
        """
        from tuner.results.frames import front_frame
        from tuner.results.summary import summarise

        record = self.record
        summary = summarise(record)
        front: Sequence[TrialRecord] = summary.front
        if scenario is not None:
            asked = self._scenario(record, scenario)
            front = next(s.front for s in summary.scenarios if s.scenario == asked)
        return front_frame(record, [summary.pooled[trial.number] for trial in front])

    def recommend(self, scenario: Scenario | None = None) -> ChosenConfiguration:
        """What is recommended for a scenario: what `export` writes.

        By default for the scenario that the study expects, or its only one. With its objectives and
        their 95 % intervals, its change against the defaults, and the probability that nothing else
        is better. Raises InputError for a scenario that was not measured, where one must be named,
        and where nothing feasible was measured.
        """
        from tuner.export.pick import pick
        from tuner.results.chosen import chosen_configurations
        from tuner.results.findings import find
        from tuner.results.summary import summarise

        record = self.record
        (trial,) = pick(record, "knee", None if scenario is None else as_levels_text(scenario))
        chosen = chosen_configurations(record, summarise(record), find(record))
        return next(c for c in chosen.scenarios if c.trial == trial.number)

    def predict(self, configuration: Mapping[str, Value]) -> Outcome:
        """What the model of the study expects of a configuration, measured or not.

        A parameter that is left out has its default. Raises InputError for a configuration that
        is not in the search space, and where too little was measured for a model.
        """
        from tuner.results.outcomes import outcomes

        record = self.record
        space = record.search_space
        names = [p.name for p in space]
        for name in configuration:
            if name not in names:
                raise InputError(
                    f"study {record.name!r} has no parameter {name!r}",
                    f"its parameters: {', '.join(names)}",
                )
        defaults = {p.name: p.default for p in space}
        asked = space.effective({**defaults, **configuration})
        expected = outcomes(record, [asked]).get(asked)
        if expected is None:
            raise InputError(
                f"study {record.name!r} cannot predict {asked}",
                "give values of its search space, and run it until the model has enough trials",
            )
        return expected

    def explain(self, objective: str | None = None, at: Sequence[str] = ()) -> Explanation:
        """Which parameters matter and how objectives depend on them; `at` holds some (`loss=0`)."""
        from tuner.results.explain import explain

        return explain(self.record, objective, at)

    def against_grid(self, grid: str = "grid") -> Comparison:
        """What this study's fronts are worth by a full grid.

        `grid` is `grid` for the study's own, a Parquet file, another study's name or a storage URL.
        Raises InputError where no such grid was recorded.
        """
        from tuner.export.grid_file import chosen_grid
        from tuner.results.against import against

        return against(self.record, chosen_grid(grid, self.name, self.backend))

    def compare(self, other: Study) -> TwoStudies:
        """What differs between this study and `other`, and whether it is more than noise."""
        from tuner.results.two_studies import compare_studies

        return compare_studies(self.record, other.record)

    # ---- what leaves the house -------------------------------------------------------------

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report, one HTML file that works offline; by default `NAME-report.html`.

        Raises InputError where it cannot be written.
        """
        from tuner.files import writable, written_whole
        from tuner.pages.report import report
        from tuner.render.html import to_html

        target = Path(f"{file_name(self.name)}-report.html" if path is None else path)
        text = to_html(report(self.finished))
        with writable(target), written_whole(target) as file:
            file.write(text.encode())
        return target

    def figures(self, directory: str | Path, form: ImageFormat = "svg") -> tuple[Path, ...]:
        """Write each figure of the report as an image into `directory`.

        Raises InputError without Chromium.
        """
        from tuner.pages.report import report
        from tuner.render.images import write_figures

        return write_figures(report(self.finished), Path(directory), form)

    def export(
        self,
        format: ExportFormat | Literal["study", "dask-workers"] = "json",  # noqa: A002 -- the word of the command line
        *,
        pick: str | None = None,
        scenario: Scenario | None = None,
        output: str | Path | None = None,
        on_remark: Callable[[str], None] = lambda _: None,
        **options: Any,  # noqa: ANN401 -- those of tuner.export.render.ExportOptions
    ) -> str:
        """The picked configurations as a text of that format; also written to `output`.

        `options` are those that only some formats take (`tuner.export.render.ExportOptions`). The
        format `study` is the whole study in one file, and needs `output`. So do the formats that
        are a directory, `helm` and `kustomize`. The text of these is empty. So is that of
        `dask-workers`, a directory with what starts workers of the Dask `scheduler`, an address;
        it needs no trials. `on_remark` is told
        what to know about the export. Raises InputError where there is nothing to pick, and for
        what the format does not take.
        """
        from tuner.export.directory import write_exported
        from tuner.export.render import DIRECTORY_FORMATS, ExportOptions, render
        from tuner.files import writable, written_whole
        from tuner.results.study_file import SUFFIX, is_study_file, write_study

        target = None if output is None else Path(output)
        if format == "study":
            if target is None or not is_study_file(target.name):
                raise InputError(
                    "a study file is written to a file, whose name ends in .zip",
                    f"give --output {self.name}{SUFFIX}",
                )
            write_study(target, self.finished)
            return ""
        if format == "dask-workers":
            self._export_workers(target, **options)
            return ""
        when = None if scenario is None else as_levels_text(scenario)
        if format in DIRECTORY_FORMATS and target is None:
            raise InputError(
                f"the format {format} is a directory with several files",
                "give --output DIRECTORY: one that does not exist yet, or an earlier export",
            )
        exported = render(self.record, format, ExportOptions(pick, when, **options))
        for remark in exported.remarks:
            on_remark(remark)
        text = exported.text
        if target is not None and exported.files:
            write_exported(target, exported.files)
        elif target is not None:
            with writable(target), written_whole(target) as file:
                file.write(text.encode())
        return text

    def _export_workers(
        self, target: Path | None, scheduler: str | None = None, image: str | None = None
    ) -> None:
        from tuner.backends.dask_cluster import require_fit_for_hosts, scheduler_address
        from tuner.export.dask_workers import WorkersAsked, to_dask_workers
        from tuner.export.directory import write_exported

        if scheduler is None or target is None:
            raise InputError(
                "the format dask-workers is a directory, about one Dask scheduler",
                "give --scheduler tcp://HOST:8786 and --output DIRECTORY",
            )
        require_fit_for_hosts(scheduler, self.backend)
        at, model = scheduler_address(scheduler), self._runnable().model.name
        asked = WorkersAsked(self._given, model, self.backend, at, image)
        write_exported(target, to_dask_workers(asked))

    def export_grid(self, output: str | Path | None) -> str:
        """Write the full grid to a Parquet file that `replay` reads; what was written, in words.

        Raises InputError without a file to write to, and before a run.
        """
        from tuner.export.grid_file import write_grid

        if self._file is not None:
            raise InputError("a study file has no full grid", "name the study, with its database")
        return write_grid(self.name, self.url, None if output is None else Path(output))

    def verify(
        self,
        file: str | Path,
        repeat: int = 1,
        *,
        on_event: Observe = lambda _: None,
        on_invalid: Callable[[TrialResult], None] = lambda _: None,
    ) -> Verified:
        """Deploy an exported file as it stands, `repeat` times, and judge it by the prediction.

        `on_invalid` is told a measurement that is made once more. Raises InputError for a file
        that this study cannot judge, SetupError where it cannot be brought up.
        """
        from tuner.verify.exported_file import read_exported
        from tuner.verify.verification import verify_file

        if self.backend == "replay":
            raise InputError(
                "a recorded grid deploys nothing that could be verified",
                "open the study with backend docker, which brings the file up",
            )
        exported = read_exported(Path(file))
        return verify_file(
            self.record, exported, self.backend, repeat, on_event, on_invalid, self.senders_on
        )

    # ---- within ----------------------------------------------------------------------------

    def _runnable(self) -> StudySpec:
        if self._specification is None:
            raise InputError(
                "a study file holds a finished study; it has no storage and cannot be run",
                "open the study by its name",
            )
        return self._specification

    def _require_endpoint(self) -> None:
        """Refuse to deploy a study that measures what is there already."""
        specification = self._runnable()
        if specification.endpoint is not None and self.backend in {"docker", "simulated"}:
            raise InputError(
                f"study {specification.name!r} measures an endpoint, and backend {self.backend}"
                " deploys a model",
                "say --backend endpoint",
            )

    def _require_fit(self) -> None:
        self._require_endpoint()
        if (self._replay is None) == (self.backend == "replay"):
            raise InputError(
                "backend replay and a recorded grid go together", "give both, or neither"
            )
        if self._replay is not None:
            from tuner.backends.replay import refuse_unfit
            from tuner.backends.replay_file import read_table

            refuse_unfit(self._runnable(), read_table(self._replay), self._replay.name)

    @contextmanager
    def _hosts(self) -> Iterator[tuple[StudySpec, Callable[[StudyRecord], Hosts]]]:
        """What is explored, and what makes the hosts that measure it of the study so far.

        On hosts of a cluster the study is that for them: bounds such as `host.cpus` are theirs.
        """
        from tuner.backends.hosts import ThisHost

        specification = self._runnable()
        if self.on is None:
            yield specification, lambda so_far: ThisHost(self._made_backend(so_far))
            return
        from tuner.backends.dask_cluster import dask_cluster, hosts_there
        from tuner.backends.dask_hosts import DaskHosts

        with dask_cluster(self.on) as cluster:
            there = hosts_there(cluster, specification, self.backend)
            assert self._resolve is not None
            specification = self._resolve(there.host)
            hosts = DaskHosts(cluster, there, specification, self.backend)
            yield specification, lambda _: hosts

    def _made_backend(self, so_far: StudyRecord) -> Backend:
        return self._backend_of(self._runnable(), so_far)

    def _backend_of(self, specification: StudySpec, so_far: StudyRecord | None = None) -> Backend:
        from tuner.backends import backend_named
        from tuner.backends.backend import BackendOptions

        self._require_endpoint()
        options = BackendOptions(self._replay, so_far, self._may_load, self.senders_on)
        return backend_named(self.backend)(specification, options)

    def _url_of(self, study: str) -> str:
        """Where the trials of another study are, if it ran with this one's backend."""
        return Study.open(study, backend=self.backend, replay=self._replay).url

    @staticmethod
    def _scenario(record: StudyRecord, scenario: Scenario) -> Configuration:
        from tuner.export.scenario import scenario as measured_scenario

        return measured_scenario(record, as_levels_text(scenario))


def as_levels_text(scenario: Scenario) -> str:
    """A scenario as `--when` takes it: `loss=1,concurrency=8`."""
    from tuner.spec.space import as_levels

    return scenario if isinstance(scenario, str) else as_levels(scenario)


def file_name(study: str) -> str:
    """A study's name as that of one file: no directory, nothing hidden."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in study)
    return kept.lstrip(".-")[:100] or "study"
