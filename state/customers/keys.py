"""The key of a customer's record.

It is a hash of the id, because RocksDB keeps some keys in places from which a record cannot be erased.
"""

from __future__ import annotations

from hashlib import blake2b

HISTORY = b"H"


def history_key(customer_id: str) -> bytes:
    """Return the key of a customer's HISTORY; the record itself has the id.

    >>> history_key("ann").hex()
    '48d8963d899008cf8c05369be7b9042715'
    """
    # a query may name an invalid id, such as half a surrogate pair
    return HISTORY + blake2b(customer_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
