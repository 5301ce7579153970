"""Columns of a Delta table beside those of this release: earlier and later releases share the lake.

New columns are nullable, and none changes its type. Then each release writes what it knows and reads the rest as null.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.schema import ArrayType, PrimitiveType

from kogpt2_chat.domain.lake.layout import Kind, Table
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Row

_ARROW_BY_KIND: Final[Mapping[Kind, Any]] = {
    "string": pa.string(),
    "long": pa.int64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "longs": pa.list_(pa.int64()),
}
_DELTA_BY_KIND: Final[Mapping[Kind, Any]] = {
    "string": PrimitiveType("string"),
    "long": PrimitiveType("long"),
    "bool": PrimitiveType("boolean"),
    "time": PrimitiveType("timestamp"),
    "longs": ArrayType(PrimitiveType("long"), contains_null=True),
}


def schema_of(layout: Table) -> Any:
    """The Arrow schema of a table as this release makes it."""
    return pa.schema(
        [
            pa.field(name, _ARROW_BY_KIND[kind], nullable=name not in layout.partition_by)
            for name, kind in layout.columns.items()
        ]
    )


def arrow_rows(rows: Sequence[Row], layout: Table) -> Any:
    """Rows as an Arrow table.

    Args:
        rows: values by column; a column left out is null.
        layout: the table.

    Returns:
        The Arrow table.

    Raises:
        InvalidInput: a value is of another kind than its column.
    """
    try:
        return pa.Table.from_pylist(
            [{name: row.get(name) for name in layout.columns} for row in rows], schema=schema_of(layout)
        )
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(f"table {layout.name}: a row does not fit its columns: {error}") from error


def columns_in(delta: DeltaTable, layout: Table) -> frozenset[str]:
    """Columns that the table has.

    Args:
        delta: a version of the table.
        layout: what this release knows of it.

    Returns:
        Their names, also of those that this release does not know.

    Raises:
        InvalidInput: one has another type here, or one that this release does not know may not be null.
    """
    found = {field.name: field for field in delta.schema().fields}
    faults = [
        f"`{name}` is {found[name].type}, expected {_DELTA_BY_KIND[kind]}"
        for name, kind in layout.columns.items()
        if name in found and found[name].type != _DELTA_BY_KIND[kind]
    ]
    faults += [
        f"`{name}` is unknown here and may not be null"
        for name, field in found.items()
        if name not in layout.columns and not field.nullable
    ]
    if faults:
        raise InvalidInput(
            f"table {layout.name} has columns that this release cannot use: {'; '.join(faults)}. Another release wrote "
            "it, or something else did: use that release, or move the table's folder away"
        )
    return frozenset(found)
