"""The customers in memory, each with a slot: its number in the per-customer arrays."""

from __future__ import annotations

from collections.abc import Iterator


class Residents:
    """Slots for customers. A slot that becomes free goes to the next customer without one.

    Slots have no meaning outside the process: messages have no customers, and records have their ids.

    >>> residents = Residents()
    >>> residents.number("ann"), residents.number("bob"), residents.number("ann")
    (0, 1, 0)
    >>> residents.remove(0)
    >>> residents.get("ann"), residents.number("cleo"), list(residents)
    (None, 0, ['cleo', 'bob'])
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._free: list[int] = []

    def number(self, customer_id: str) -> int:
        """Return the customer's slot, a new one for a customer who is not in memory."""
        slot = self.numbers.get(customer_id)
        if slot is None:
            if self._free:
                slot = self._free.pop()
                self._ids[slot] = customer_id
            else:
                slot = len(self._ids)
                self._ids.append(customer_id)
            self.numbers[customer_id] = slot
        return slot

    def get(self, customer_id: str) -> int | None:
        """Return the customer's slot, None if the customer is not in memory."""
        return self.numbers.get(customer_id)

    def known(self, slot: int) -> bool:
        """Return whether somebody is in a slot."""
        return slot < len(self._ids) and self._ids[slot] is not None

    def id(self, slot: int) -> str:
        """Return the customer in a slot."""
        customer_id = self._ids[slot]
        assert customer_id is not None
        return customer_id

    def remove(self, slot: int) -> None:
        """Free a customer's slot."""
        del self.numbers[self.id(slot)]
        self._ids[slot] = None
        self._free.append(slot)

    @property
    def slots(self) -> int:
        """How many slots there are, free ones included."""
        return len(self._ids)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[str]:
        return (customer_id for customer_id in self._ids if customer_id is not None)
