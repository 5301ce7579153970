"""Write a small table of every kind with this checkout's code: ``python scripts/write_lake_fixture.py FOLDER``.

Run it once in each release that adds a column to a table or to the index. The tables of all releases are kept under
``tests/fixtures/lake``, and every later release is tested on them.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from kogpt2_chat.adapters.delta import DeltaTables
from kogpt2_chat.domain.lake.layout import TABLE_BY_NAME
from kogpt2_chat.domain.search.fields import FIELDS_BY_INDEX, TURN_INDEX
from kogpt2_chat.settings import Hdfs, Settings

EXAMPLE = {"string": "x", "long": 7, "bool": True, "time": datetime(2026, 11, 24, 3, 30, tzinfo=UTC), "longs": [1, 2]}


def main(folder: Path) -> None:
    """Write two turns, one row of each other table, and the index's mapping."""
    folder.mkdir(parents=True)
    # A local folder replaces HDFS; the settings would refuse its address.
    hdfs = Hdfs().model_copy(update={"uri": "file://", "root": str(folder.absolute()), "retries": 1})
    tables = DeltaTables(Settings().model_copy(update={"hdfs": hdfs}))
    for name, table in TABLE_BY_NAME.items():
        rows = [{column: EXAMPLE[kind] for column, kind in table.columns.items()}]
        if name == "turns":
            rows = [
                rows[0] | {"turn_id": turn_id, "bot": "ChatbotA", "date": "2026-11-24"}
                for turn_id in ("old-1", "old-2")
            ]
        tables.append(name, rows, {f"{name}/{table.topic or name}/0": len(rows)}, {})
    columns = {name: dict(table.columns) for name, table in TABLE_BY_NAME.items()}
    for commit in folder.glob("lake/*/_delta_log/*.json"):  # remove the path of this folder
        commit.write_text(commit.read_text().replace(str(folder.absolute()), ""))
    (folder / "columns.json").write_text(json.dumps(columns, indent=1) + "\n")
    mapping = FIELDS_BY_INDEX[TURN_INDEX]
    (folder / "mapping.json").write_text(json.dumps(mapping, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
