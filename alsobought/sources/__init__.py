"""Reading events and catalogues from a user's files, as messages.

>>> import tempfile, pathlib
>>> path = pathlib.Path(tempfile.mkdtemp()) / "sales.csv"
>>> _ = path.write_text("customer_id,item_id,timestamp\\nann,tea,2026-01-31 12:00:00\\n")
>>> for batch in open_purchases(str(path)).records():
...     print(batch)
[(b'ann', b'{"customer_id":"ann","item_id":"tea","timestamp":1769860800000}')]

Formats are recognised by the name of the file: CSV and JSON lines (also .gz and .xz), Parquet, `-` for
standard input, a pipe, and `complete-journey`, purchases that come with the installation.

Purchases, watches and other events have the columns customer_id, item_id and timestamp, and optionally
quantity, event_type, event_id, basket_id, price and profile_id; items have item_id, and optionally title,
category, brand, price and available. Other columns are ignored. `values` defines what a cell may hold,
`TableSource` what happens to bad rows, and `ordering` in which order events are sent.

opening        which reader a file gets, by its name; source: a file as messages and as records for Kafka
csv_reader, json_reader, parquet_reader
               the formats; lines: text as chunks of whole lines; table: the rows that they return
complete_journey, synthetic
               purchases that come with the installation, and made-up ones
values, times  a cell as the value of a field, or as event time
columns, time_columns
               the same for whole columns at once; arrays: between numpy and Arrow
events, items  rows as messages; encoding: batches of events as JSON; ordering: by event time
id_list        lists of ids; identity: whether a file was published before; errors: what may be wrong
"""

from alsobought.sources.errors import BadRow, BadRows, BadRowsError, SourceError
from alsobought.sources.opening import open_events, open_items, open_purchases, open_synthetic
from alsobought.sources.source import EventSource, ItemSource, TableSource, numbered
from alsobought.sources.table import Position

__all__ = [
    "BadRow",
    "BadRows",
    "BadRowsError",
    "EventSource",
    "ItemSource",
    "Position",
    "SourceError",
    "TableSource",
    "numbered",
    "open_events",
    "open_items",
    "open_purchases",
    "open_synthetic",
]
