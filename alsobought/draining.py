"""Wait until everything published is counted, and every list follows from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from alsobought.options import CommandError
from state.messages.delta_types import encode_settle
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import Follower, ends, send, send_each
from streams.kinds import CrossKind, EventKind, Kind, is_internal
from streams.messages.schema import REPORTED, SETTLE, Progress, SettleMark, encode, progress_of
from streams.topics import ITEMS, PROGRESS, TopicSpec, topic_of

OnLag = Callable[[str], None]
"""Called now and then with what `drain` waits for: the tasks, and how many records each is behind."""


@dataclass(frozen=True)
class Drained:
    """What `drain` waited for: how many records by topic, and how many seconds it took."""

    records: dict[str, int]
    seconds: float


def drain(bootstrap: Bootstrap, kinds: Sequence[Kind], timeout_s: float, on_lag: OnLag) -> Drained:
    """Return when what is published now is counted, and lists and recommendations follow from it.

    1. Every partition of items and of the kinds' events must be applied to its present end. The deltas and
       the history changes are then in Kafka.
    2. The history changes must be applied, twice: they may ask other partitions for their purchases, which
       publishes further history changes.
    3. A settle record behind the deltas asks each item partition to publish how popular its items are, to
       refresh its lists once all partitions have done so, and to report `listed`.
    4. Recommenders must have recommended to every customer with events, and must have read a mark that is
       written behind the popularity. They report it in `settled` once the bestsellers follow from it.

    Only progress that is written from now on counts; that of earlier runs is not read.

    Raises
    ------
    CommandError
        It took longer than `timeout_s`; the message has what is left.
    """
    begin = time.monotonic()
    events = [kind.events for kind in kinds if isinstance(kind, EventKind)]
    targets = _ends_of(bootstrap, [*events, ITEMS])
    with Follower(bootstrap, PROGRESS) as follower:
        waiting = _Waiting(follower, begin + timeout_s, timeout_s, on_lag)
        waiting.until("everything is counted", targets, _uncounted)
        for _ in range(2):
            first = _ends_of(bootstrap, [kind.events for kind in kinds if isinstance(kind, CrossKind)])
            waiting.until("history changes are counted", first, _uncounted)
        settled = _Settle(bootstrap, waiting, time.time_ns() // 1_000_000)
        for kind in kinds:
            settled.ask(kind.deltas, sorted(ends(bootstrap, kind.deltas)))
        waiting.until("every list is refreshed", settled.targets, _unlisted, settled.ask_again)
        mark = _mark(bootstrap, kinds)
        served = {f"{REPORTED}{task}": end for task, end in targets.items() if topic_of(task) != ITEMS.name}
        waiting.until("everybody is recommended to", served, _unrecommended)
        waiting.until("bestsellers are published", dict.fromkeys(served, mark), _unsettled)
    records: dict[str, int] = {}
    for task, end in targets.items():
        records[topic_of(task)] = records.get(topic_of(task), 0) + end
    return Drained(records, round(time.monotonic() - begin, 3))


def _mark(bootstrap: Bootstrap, kinds: Sequence[Kind]) -> int:
    """Write a settle mark behind all published popularity; return it."""
    mark = time.time_ns() // 1_000_000
    value = encode(SettleMark(mark))
    for kind in kinds:
        if isinstance(kind, EventKind):
            partitions = ends(bootstrap, kind.popularity)
            send(bootstrap, kind.popularity, [(partition, SETTLE, value) for partition in partitions])
    return mark


def _ends_of(bootstrap: Bootstrap, specs: Sequence[TopicSpec]) -> dict[str, int]:
    """Return the present end of every task of some topics."""
    return {f"{s.name}-{partition}": end for s in specs for partition, end in ends(bootstrap, s).items()}


Left = Callable[[str, int, Progress], str]
"""What a task has to do up to a target, from what it reported last; empty when it is there."""


def _uncounted(task: str, target: int, progress: Progress) -> str:
    lag = target - progress.applied
    topic = topic_of(task)
    record = "message" if is_internal(topic) else "catalogue record" if topic == ITEMS.name else "event"
    return f"{task}: {lag:,} {record}{'s' * (lag > 1)} not counted yet" if lag > 0 else ""


def _unlisted(task: str, target: int, progress: Progress) -> str:
    if progress.listed >= target:
        return ""
    before = target - 1  # the settle record itself changes no count
    return _uncounted(task, before, progress) or f"{task}: lists not refreshed yet"


def _unrecommended(task: str, target: int, progress: Progress) -> str:
    if progress.recommended >= target:
        return ""
    return f"{task}: some customers not recommended to yet"


def _unsettled(task: str, target: int, progress: Progress) -> str:
    return "" if progress.settled >= target else f"{task}: bestsellers not published yet"


@dataclass
class _Waiting:
    follower: Follower
    deadline: float
    timeout_s: float
    on_lag: OnLag
    newest: dict[str, Progress] = field(default_factory=dict)

    def until(
        self,
        what: str,
        targets: dict[str, int],
        left_of: Left,
        look: Callable[[Progress], None] | None = None,
    ) -> None:
        """Wait until nothing is left of every task's target; `look` may raise targets."""
        while True:
            left = self._left(targets, left_of)
            if not left:
                return
            late = time.monotonic() > self.deadline
            if self.newest or late:  # before any task has reported, none is known to be missing
                self.on_lag(left)
            if late:
                raise CommandError(
                    f"waited {self.timeout_s:g} s until {what}, and it is not: {left}. Are a worker and a"
                    " recommender running? See their logs, or wait longer with --timeout."
                )
            for row in self.follower.poll():
                if progress := progress_of(row.value):
                    self.newest[progress.task] = progress
                    if look is not None and progress.task in targets:
                        look(progress)

    def _left(self, targets: dict[str, int], left_of: Left) -> str:
        heard = [task for task in targets if task in self.newest]
        parts = [left for task in heard if (left := left_of(task, targets[task], self.newest[task]))]
        silent = [task for task in targets if task not in self.newest]
        for role, of in (("worker", False), ("recommender", True)):
            some = ", ".join(task for task in silent if task.startswith(REPORTED) == of)
            if some:
                parts.append(f"no {role} has reported for {some}: start one with `alsobought {role}`")
        return "; ".join(parts)


class _Settle:
    """Settle records: they are sent to each item partition, and again to one whose worker changed."""

    def __init__(self, bootstrap: Bootstrap, waiting: _Waiting, number: int) -> None:
        self.targets: dict[str, int] = {}
        self._bootstrap = bootstrap
        self._waiting = waiting
        self._settle = encode_settle(number)  # grows from one to the next
        self._topics: dict[str, TopicSpec] = {}
        self._seen: dict[str, tuple[str, int]] = {}

    def ask(self, deltas: TopicSpec, partitions: list[int]) -> None:
        self._topics[deltas.name] = deltas
        for partition, offset in send_each(self._bootstrap, deltas, self._settle, partitions).items():
            self.targets[f"{deltas.name}-{partition}"] = offset + 1

    def ask_again(self, progress: Progress) -> None:
        """Ask a new owner again, as it may have stored the record as applied without having listed."""
        worker, listed = self._seen.get(progress.task, (progress.worker, progress.listed))
        self._seen[progress.task] = progress.worker, progress.listed
        if worker != progress.worker or progress.listed < listed:
            self.ask(self._topics[topic_of(progress.task)], [int(progress.task.rpartition("-")[2])])
