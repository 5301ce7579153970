"""Schemas of Delta tables that several releases share.

New columns are nullable, and no column changes its type. Therefore each release writes the columns that it knows,
ignores later ones, and reads a column that a table version lacks as null.
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
    """Return the Arrow schema with which this release creates a table."""
    return pa.schema(
        [
            pa.field(name, _ARROW_BY_KIND[kind], nullable=name not in layout.partition_by)
            for name, kind in layout.columns.items()
        ]
    )


def arrow_rows(rows: Sequence[Row], layout: Table) -> Any:
    """Convert rows to an Arrow table.

    Args:
        rows: values by column; a missing column is null.
        layout: the table.

    Returns:
        The Arrow table.

    Raises:
        InvalidInput: a value does not fit its column's type.
    """
    try:
        return pa.Table.from_pylist(
            [{name: row.get(name) for name in layout.columns} for row in rows], schema=schema_of(layout)
        )
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(f"table {layout.name}: a row does not fit its columns: {error}") from error


def columns_in(delta: DeltaTable, layout: Table) -> frozenset[str]:
    """Return the names of a table's columns, and check that this release can use them.

    Args:
        delta: a version of the table.
        layout: the table's columns in this release.

    Returns:
        The names of all columns, including those that this release does not know.

    Raises:
        InvalidInput: a column has a different type in this release, or an unknown column is not nullable.
    """
    found = {field.name: field for field in delta.schema().fields}
    faults = [
        f"`{name}` is {found[name].type}, expected {_DELTA_BY_KIND[kind]}"
        for name, kind in layout.columns.items()
        if name in found and found[name].type != _DELTA_BY_KIND[kind]
    ]
    faults += [
        f"`{name}` is unknown and not nullable"
        for name, field in found.items()
        if name not in layout.columns and not field.nullable
    ]
    if faults:
        raise InvalidInput(
            f"table {layout.name} has columns that this release cannot use: {'; '.join(faults)}. Another release or "
            "program wrote it: use that one, or move the table's folder elsewhere"
        )
    return frozenset(found)
