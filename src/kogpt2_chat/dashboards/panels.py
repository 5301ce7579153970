"""The panels of the dashboard, as ``panels.yaml`` defines them, and the check that they can be computed."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec
import yaml  # type: ignore[import-untyped]  # no stubs in the lock
from msgspec import Struct

from kogpt2_chat.domain.search.fields import FIELDS_BY_INDEX, Field, IndexName
from kogpt2_chat.errors import InvalidInput

PANELS: Final = Path(__file__).with_name("panels.yaml")
Chart = Literal["lines", "bars", "table", "numbers"]
Unit = Literal["turns", "players", "number", "ms", "share", "characters", "tokens", "bytes"]
Where = Mapping[str, tuple[str | int, ...]]
"""The values that a document must have, by field; one of the values of each field is enough."""
_NUMERIC: Final = ("long", "float")
_SPLITTABLE: Final = ("keyword", "long", "boolean")
_MAX_SPLITS: Final = 2
DRILL_BY_FIELD: Final = {
    "bot": "bot",
    "model_version": "version",
    "outcome": "outcome",
    "question_key": "question_key",
    "kind": "kind",
    "faults": "fault",
}
"""The parameter of the list of single turns, by the field that it filters."""


class Text(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text of the page in both languages."""

    ko: str
    en: str


class _Metric(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A number that is computed from documents.

    Attributes:
        id: unique in its panel.
        title: what it is.
    """

    id: str
    title: Text


class Count(_Metric, frozen=True, kw_only=True, tag="count"):
    """The number of documents."""


class _OfField(_Metric, frozen=True, kw_only=True):
    field: str


class Sum(_OfField, frozen=True, kw_only=True, tag="sum"):
    """The sum of a field."""


class Mean(_OfField, frozen=True, kw_only=True, tag="mean"):
    """The mean of a field, of the documents that have it."""


class Largest(_OfField, frozen=True, kw_only=True, tag="largest"):
    """The largest value of a field, or its last time."""


class Distinct(_OfField, frozen=True, kw_only=True, tag="distinct"):
    """The number of different values of a field. It is approximate above 10,000."""


class PerHour(_OfField, frozen=True, kw_only=True, tag="per_hour"):
    """The sum of a field per hour of the interval."""


class Sample(_OfField, frozen=True, kw_only=True, tag="sample"):
    """The value of a field in the newest document."""


class Percentiles(_OfField, frozen=True, kw_only=True, tag="percentiles"):
    """Percentiles of a field, within 1 %."""

    percents: tuple[int, ...] = (50, 95, 99)


class Share(_Metric, frozen=True, kw_only=True, tag="share"):
    """The share of the panel's documents that have certain values.

    Attributes:
        where: the values that count.
        bounds: whether Wilson's 95 % interval and the number of documents are shown beside it.
    """

    where: Where
    bounds: bool = False


class Ratio(_Metric, frozen=True, kw_only=True, tag="ratio"):
    """The sum of one field divided by the sum of another, times a factor."""

    field: str
    per: str
    factor: float = 1


Metric = Count | Sum | Mean | Largest | Distinct | PerHour | Sample | Percentiles | Share | Ratio
Plain = Sum | Mean | Largest | Distinct | PerHour | Sample | Percentiles


class Panel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One panel.

    Attributes:
        id: unique; part of the gateway's addresses and of Kibana's ids.
        title: heading.
        note: what the numbers mean, and what they do not say.
        index: the index that is searched.
        chart: how it is drawn. ``lines`` and ``bars`` are series over time; ``table`` has a row per split, or the
            newest documents if it has ``columns``; ``numbers`` are single numbers.
        unit: unit of the numbers of ``lines`` and ``bars``.
        wide: whether it needs the whole width.
        split: the fields that split it into series or rows, outermost first.
        metrics: what is computed.
        where: values that documents must have.
        unless: values that documents must not have.
        having: fields that documents must have.
        interval: ``day``: intervals are not shorter than a day.
        size: the most rows, or series of a split; of many, those with the most documents.
        columns: the fields of a list of documents.
        drill: parameters of the list of turns behind the panel, beside those of a series or row; None: it has none.
    """

    id: str
    title: Text
    note: Text
    index: IndexName
    chart: Chart
    unit: Unit
    wide: bool = False
    split: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    where: Where = {}
    unless: Where = {}
    having: tuple[str, ...] = ()
    interval: Literal["auto", "day"] = "auto"
    size: int = 12
    columns: tuple[str, ...] = ()
    drill: Mapping[str, str] | None = None

    @property
    def is_over_time(self) -> bool:
        """Whether its series have a value per interval."""
        return self.chart in ("lines", "bars")


class Dashboard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All panels in their order, with the headings of fields by name."""

    title: Text
    note: Text
    fields: Mapping[str, Text]
    panels: tuple[Panel, ...]

    def panel(self, panel_id: str) -> Panel | None:
        """Return a panel by its id, or None."""
        return next((panel for panel in self.panels if panel.id == panel_id), None)


@cache
def load_dashboard() -> Dashboard:
    """Return the dashboard of ``panels.yaml``."""
    return parse_dashboard(PANELS.read_text("utf-8"))


def parse_dashboard(text: str) -> Dashboard:
    """Parse the YAML of a dashboard and check it against the fields of the indices.

    Raises:
        InvalidInput: it is not YAML, a key is unknown or missing, or panels cannot be computed. All faults of panels
            are reported together.
    """
    try:
        dashboard = msgspec.convert(yaml.safe_load(text), Dashboard)
    except yaml.YAMLError as error:
        raise InvalidInput(f"panels.yaml is not valid YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise InvalidInput(f"panels.yaml: {error}") from error
    faults = list(_faults(dashboard))
    if faults:
        raise InvalidInput("panels.yaml: " + "; ".join(faults))
    return dashboard


def _faults(dashboard: Dashboard) -> Iterator[str]:
    ids = [panel.id for panel in dashboard.panels]
    yield from (f"panel `{name}` is defined twice" for name in dict.fromkeys(ids) if ids.count(name) > 1)
    for panel in dashboard.panels:
        shown = {*panel.split, *panel.columns}
        yield from (
            f"panel `{panel.id}`: {fault}"
            for fault in (
                *_shape_faults(panel),
                *_metric_faults(panel),
                *_field_faults(panel),
                *(f"`fields` has no heading for `{name}`" for name in sorted(shown - dashboard.fields.keys())),
            )
        )


def _shape_faults(panel: Panel) -> Iterator[str]:
    if bool(panel.columns) == bool(panel.metrics):
        yield "it needs either `metrics` or `columns`"
    if panel.columns and panel.chart != "table":
        yield f"`columns` are for a table, not for {panel.chart}"
    if len(panel.split) > _MAX_SPLITS:
        yield f"at most {_MAX_SPLITS} fields can split it, found {len(panel.split)}"
    if panel.chart == "numbers" and panel.split:
        yield "`numbers` cannot be split"
    if panel.chart == "table" and panel.metrics and not panel.split:
        yield "a table with `metrics` needs `split`"
    if panel.columns and "turn_id" not in panel.columns:
        yield "`columns` need `turn_id`, which leads to a turn"
    if unknown := sorted(set(panel.drill or {}) - set(DRILL_BY_FIELD.values())):
        yield f"`drill` has unknown parameters: {', '.join(unknown)}; known are {', '.join(DRILL_BY_FIELD.values())}"


def _metric_faults(panel: Panel) -> Iterator[str]:
    names = [metric.id for metric in panel.metrics]
    yield from (f"metric `{name}` is defined twice" for name in dict.fromkeys(names) if names.count(name) > 1)
    for metric in panel.metrics:
        if isinstance(metric, Sample) and panel.chart != "table":
            yield f"metric `{metric.id}`: a sample is for a table"
        if isinstance(metric, PerHour) and not panel.is_over_time:
            yield f"metric `{metric.id}`: `per_hour` needs intervals"
        if isinstance(metric, Share) and metric.bounds and panel.chart != "table":
            yield f"metric `{metric.id}`: `bounds` are for a table"


def _field_faults(panel: Panel) -> Iterator[str]:
    known = FIELDS_BY_INDEX[panel.index]
    for use, name in _uses(panel):
        if name not in known:
            yield f"index {panel.index} has no field `{name}`"
        elif not _fits(known[name], use):
            yield f"field `{name}` of {panel.index} is {known[name]['type']}, which cannot be used for `{use}`"


def _uses(panel: Panel) -> Iterator[tuple[str, str]]:
    """Yield each use of a field with its name."""
    yield from (("split", name) for name in panel.split)
    yield from (("columns", name) for name in panel.columns)
    yield from (("where", name) for name in (*panel.where, *panel.unless, *panel.having))
    for metric in panel.metrics:
        if isinstance(metric, Share):
            yield from (("where", name) for name in metric.where)
        elif isinstance(metric, Ratio):
            yield from (("number", metric.field), ("number", metric.per))
        elif isinstance(metric, Sample):
            yield "columns", metric.field
        elif isinstance(metric, Distinct):
            yield "split", metric.field
        elif isinstance(metric, Largest):
            yield "order", metric.field
        elif isinstance(metric, get_args(Plain)):
            yield "number", metric.field


def _fits(field: Field, use: str) -> bool:
    """Return whether a field can be searched or aggregated in a way."""
    if use == "columns":
        return True
    if use == "where":
        return field.get("index", True) is True and field["type"] != "text"
    kinds = {"split": _SPLITTABLE, "number": _NUMERIC, "order": (*_NUMERIC, "date")}[use]
    return field["type"] in kinds and field.get("doc_values", True) is True
