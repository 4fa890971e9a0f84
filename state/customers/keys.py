"""The key of a customer's record: a hash, as RocksDB keeps some keys where erasing a record cannot reach."""

from __future__ import annotations

from hashlib import blake2b

HISTORY = b"H"


def history_key(customer_id: str) -> bytes:
    """Key of a customer's HISTORY; the record has the id itself.

    >>> history_key("ann").hex()
    '48d8963d899008cf8c05369be7b9042715'
    """
    # what is asked for may be no valid id, such as half a surrogate pair
    return HISTORY + blake2b(customer_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
