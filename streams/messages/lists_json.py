"""Write related-items messages as JSON, in a kernel.

A full load refreshes ten thousand lists of a hundred entries a second. A general encoder takes 50 us to build
and encode the objects of a list, this one takes a tenth; docs/decisions has the measurement. What it writes
is what `streams.messages.schema.RelatedItems` reads; a test checks that.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from state.items.lists import Lists
from state.memory.arrays import address_of, kernel, longer
from state.memory.item_ids import ItemIds
from streams.messages.json_text import OVERRUN, put_array, put_id, put_real, put_text, put_whole, text_of
from streams.messages.record_batches import Parts, parts_of

ENTRY_BYTES = 160  # of an entry without its id: the field names and five numbers at their longest
HEAD_BYTES = 256 + OVERRUN

_ITEM = text_of('{"item_id":')
_NEXT = text_of(',{"item_id":')
_END = text_of("}")
_KIND = text_of(',"kind":')
_AS_OF = text_of(',"as_of":')
_VERSION = text_of(',"version":')
_BUYERS = text_of(',"buyers":')
_MASS = text_of(',"mass":')
_RECENT_MASS = text_of(',"recent_mass":')
_RELATED = text_of(',"related":[')
_SCORE = text_of(',"score":')
_TOGETHER = text_of(',"together":')
_AFTER = text_of(',"after":')
_RECENT = text_of(',"recent":')
_EXPECTED = text_of(',"expected":')
_ENDS = text_of("]}")


class JsonIds:
    """Item ids as JSON strings, one after the other, in the order in which they became known.

    They are in memory whatever the budget, and take 19 bytes per item in addition to its letters: every list
    needs a hundred of them.
    """

    def __init__(self, items: ItemIds) -> None:
        self._items = items
        self._done = self._end = 0
        self.blob = np.zeros(1 << 16, np.uint8)
        self.starts, self.ends = np.zeros(1024, np.int64), np.zeros(1024, np.int64)
        self.longest = 0  # bytes of the longest id
        self._plain = True  # no id has a letter that JSON writes otherwise

    def update(self) -> None:
        """Take in the ids that have become known."""
        numbers = self._items.named[self._done :]
        if not numbers:
            return
        fresh = [msgspec.json.encode(name) for name in self._items.ids(numbers)]
        start = self._end
        ends = start + np.cumsum([len(name) for name in fresh])
        if len(self._items) > len(self.ends):
            self.starts = longer(self.starts, 2 * len(self._items))
            self.ends = longer(self.ends, 2 * len(self._items))
        if ends[-1] + OVERRUN > len(self.blob):  # whole words are read
            self.blob = longer(self.blob, 2 * int(ends[-1]) + OVERRUN)
        self.starts[numbers] = np.append(start, ends[:-1])
        self.ends[numbers] = ends
        self.blob[start : ends[-1]] = np.frombuffer(b"".join(fresh), np.uint8)
        self._done += len(numbers)
        self._end = int(ends[-1])
        self.longest = max(self.longest, *map(len, fresh))
        self._plain = self._plain and b"\\" not in self.blob[start : ends[-1]].tobytes()

    def plain(self, items: npt.NDArray[np.int64]) -> Parts:
        """Return the ids of items as they are, not quoted, as keys of records."""
        if self._plain:
            return Parts(self.blob, self.starts[items] + 1, self.ends[items] - 1)
        return parts_of([name.encode() for name in self._items.ids(items.tolist())])


@kernel
def write_lists(
    out: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], which: npt.NDArray[np.int64], lists: Lists,
    item_of: npt.NDArray[np.int32], heads: npt.NDArray[np.int64],
    mass: int, as_of: int, version: int, kind: npt.NDArray[np.uint8],
    blob: npt.NDArray[np.uint8], id_starts: npt.NDArray[np.int64], id_ends: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Write the messages of lists `which` one after the other; `ends` gets where each ends.

    `kind` is a JSON string; `mass` is the column of `heads` with a row's sum of N. `out` must have
    `HEAD_BYTES` per list, `ENTRY_BYTES` per entry, and the length of the longest id for each.
    """
    all_items, all_scores, all_together = lists.item, lists.score, lists.together
    all_after, all_recent, all_expected = lists.after, lists.recent, lists.expected
    rows, lengths, recent_mass, buyers = lists.row, lists.length, lists.recent_mass, lists.buyers
    at = first = address_of(out)
    for i in range(len(which)):
        listed = which[i]
        row = rows[listed]
        at = put_id(put_text(at, _ITEM), blob, id_starts, id_ends, np.int64(item_of[row]))
        at = put_array(put_text(at, _KIND), kind)
        at = put_whole(put_text(at, _AS_OF), as_of)
        at = put_whole(put_text(at, _VERSION), version)
        at = put_whole(put_text(at, _BUYERS), buyers[listed])
        at = put_whole(put_text(at, _MASS), heads[row, mass])
        at = put_real(put_text(at, _RECENT_MASS), recent_mass[listed])
        at = put_text(at, _RELATED)
        items, scores, together = all_items[listed], all_scores[listed], all_together[listed]
        after, recent, expected = all_after[listed], all_recent[listed], all_expected[listed]
        for k in range(lengths[listed]):
            at = put_text(at, _NEXT if k > 0 else _ITEM)
            at = put_id(at, blob, id_starts, id_ends, np.int64(items[k]))
            at = put_real(put_text(at, _SCORE), scores[k])
            at = put_whole(put_text(at, _TOGETHER), together[k])
            at = put_whole(put_text(at, _AFTER), after[k])
            at = put_real(put_text(at, _RECENT), recent[k])
            at = put_real(put_text(at, _EXPECTED), expected[k])
            at = put_text(at, _END)
        at = put_text(at, _ENDS)
        ends[i] = at - first
