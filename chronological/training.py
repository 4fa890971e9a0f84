"""Train in mini-batches of Adam over sets of examples, oldest first, until the newest set gets no better.

    epoch 1    examples of cutoff 1, of cutoff 2, ... each shuffled, in batches      loss of the held-out set
    epoch 2    the same                                                              loss of the held-out set
    ...        until it has not fallen for PATIENCE epochs; then the best weights are restored
    last       one pass over the held-out set, the newest of all

Everything random is drawn from the seed and the position alone, so that a saved training continues as if it
had not been interrupted, to the same bits.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chronological.adam import RATE, Adam
from chronological.errors import BadTrainingFile
from chronological.examples import Examples
from chronological.network import HIDDEN, Network, loss, loss_and_gradient
from chronological.sampling import MOST_OUTPUTS, outputs, probabilities

BATCH = 128
MOST_EPOCHS = 40
PATIENCE = 2
HELD_OUT_MOST = 4_000
LAYOUT = 1


@dataclass(frozen=True)
class Report:
    """How far a training is.

    Attributes
    ----------
    batches, of_batches
        How many are done, and to be done at most; those that early stopping spares count as done.
    held_out
        The loss of the held-out set before the first epoch and after each epoch since.
    """

    batches: int
    of_batches: int
    epoch: int
    held_out: tuple[float, ...]


@dataclass
class _Weights:
    """A network and its moments."""

    net: Network
    inward: Adam
    outward: Adam
    bias: Adam

    @staticmethod
    def new(net: Network) -> _Weights:
        return _Weights(net, Adam.of(net.inward), Adam.of(net.outward), Adam.of(net.bias[None]))

    def copy(self) -> _Weights:
        return _Weights(self.net.copy(), self.inward.copy(), self.outward.copy(), self.bias.copy())

    def arrays(self, prefix: str) -> dict[str, Any]:
        found = {"inward": self.net.inward, "outward": self.net.outward, "bias": self.net.bias}
        for name in ("inward", "outward", "bias"):
            adam = getattr(self, name)
            found |= {f"{name}.m": adam.first, f"{name}.v": adam.second, f"{name}.t": adam.steps}
        return {f"{prefix}{name}": array for name, array in found.items()}

    def restore(self, stored: dict[str, npt.NDArray[Any]], prefix: str) -> None:
        for name, array in self.arrays(prefix).items():
            array[...] = stored[name]


class Training:
    """The training of one network.

    Parameters
    ----------
    items
        The number of outputs of the network.
    sets
        The examples to learn from, oldest first.
    held_out
        The examples whose loss decides when to stop.
    seed
        The same seed, examples and settings give the same weights.
    last
        Whether to learn from the held-out set at the end.
    """

    def __init__(
        self,
        items: int,
        sets: Sequence[Examples],
        held_out: Examples,
        *,
        seed: int = 0,
        last: bool = True,
        most_epochs: int = MOST_EPOCHS,
        hidden: int = HIDDEN,
        rate: float = RATE,
        most_outputs: int = MOST_OUTPUTS,
    ) -> None:
        self._sets, self._held_out, self._last = list(sets), held_out, last
        self._seed, self._most_epochs, self._rate = seed, most_epochs, rate
        self._pi = [probabilities(examples.prior, most_outputs) for examples in (*sets, held_out)]
        step = -(-len(held_out) // HELD_OUT_MOST)
        self._tested = held_out.take(np.arange(0, len(held_out), step))
        self._weights = _Weights.new(Network.new(items, np.random.default_rng([seed]), hidden))
        self._best = self._weights.copy()
        self._epoch, self._batch = 0, 0  # the next to be done
        self._losses: list[float] = []
        self._finishing = self._done = False

    @property
    def network(self) -> Network:
        """The best network so far; the final one when `run` has returned."""
        return self._best.net

    def run(
        self,
        on_progress: Callable[[Report], None] = lambda _report: None,
        *,
        most_batches: int | None = None,
    ) -> bool:
        """Train to the end, or for `most_batches`; return whether it is the end."""
        if not self._losses:
            self._losses.append(loss(self._weights.net, self._tested))
        left = most_batches
        while not self._done:
            if left is not None and left <= 0:
                return False
            left = None if left is None else left - 1
            self._one_batch()
            on_progress(self.report())
        return True

    def save(self, path: Path) -> None:
        """Write all that `resume` needs, in one step, so that an existing file is always whole."""
        partial = path.with_name(f"{path.name}.partial")
        arrays: dict[str, Any] = {
            "layout": np.array(LAYOUT), "of": np.frombuffer(self._identity(), np.uint8),
            "position": np.array([self._epoch, self._batch, self._finishing, self._done], np.int64),
            "losses": np.array(self._losses, np.float64),
        }  # fmt: skip
        with partial.open("wb") as file:
            np.savez(file, **arrays, **self._weights.arrays("now."), **self._best.arrays("best."))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Continue from a file that `save` wrote.

        Raises
        ------
        BadTrainingFile
            If it is damaged, of another layout, or of other examples, settings or seed.
        """
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
            if int(stored["layout"]) != LAYOUT:
                raise BadTrainingFile(
                    f"{path} has layout {stored['layout']}, this program reads {LAYOUT}: delete it, and train"
                    " from the beginning."
                )
            if stored["of"].tobytes() != self._identity():
                raise BadTrainingFile(
                    f"{path} is of a training on other events or with another seed: delete it, and train from"
                    " the beginning."
                )
            self._weights.restore(stored, "now.")
            self._best.restore(stored, "best.")
            self._epoch, self._batch = map(int, stored["position"][:2])
            self._finishing, self._done = map(bool, stored["position"][2:])
            self._losses = stored["losses"].tolist()
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise BadTrainingFile(
                f"{path} cannot be read ({error}): delete it, and train from the beginning."
            ) from error

    def _identity(self) -> bytes:
        """Return bytes that are equal only for equal examples and settings."""
        settings = self._seed, self._last, self._most_epochs, self._rate, self._weights.net.inward.shape
        hashed = hashlib.sha256(repr((LAYOUT, *settings)).encode())
        for examples, pi in zip((*self._sets, self._held_out), self._pi, strict=True):
            hashed.update(examples.digest() + pi.tobytes())
        return hashed.digest()

    def report(self) -> Report:
        """Return how far it is."""
        each = sum(map(_batches, self._sets))
        more = _batches(self._held_out) if self._last else 0
        of = self._most_epochs * each + more
        done = (self._most_epochs if self._finishing else self._epoch) * each + self._batch
        return Report(of if self._done else done, of, self._epoch, tuple(self._losses))

    def _one_batch(self) -> None:
        batch, which = self._batch, 0
        sets = [self._held_out] if self._finishing else self._sets
        while batch >= _batches(sets[which]):
            batch -= _batches(sets[which])
            which += 1
        examples = sets[which]
        place = len(self._sets) if self._finishing else which
        order = np.random.default_rng([self._seed, 1, self._epoch, place]).permutation(len(examples))
        some = examples.take(order[batch * BATCH : (batch + 1) * BATCH])
        rng = np.random.default_rng([self._seed, 2, self._epoch, place, batch])
        self._learn(some, self._pi[place], rng)
        self._batch += 1
        if self._batch == sum(map(_batches, sets)):
            self._end_of_pass()

    def _learn(self, some: Examples, pi: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
        w = self._weights
        _, gradient = loss_and_gradient(w.net, some, outputs(some.targets.items, pi, rng))
        w.inward.step(w.net.inward, gradient.inward_items, gradient.inward, self._rate)
        w.outward.step(w.net.outward, gradient.outward_items, gradient.outward, self._rate)
        w.bias.step(w.net.bias[None], np.zeros(1, np.int64), gradient.bias[None], self._rate)

    def _end_of_pass(self) -> None:
        self._batch = 0
        if self._finishing:
            self._best, self._done = self._weights, True
            return
        self._epoch += 1
        self._losses.append(loss(self._weights.net, self._tested))
        best = int(np.argmin(self._losses))
        if best == self._epoch:
            self._best = self._weights.copy()
        if self._epoch - best >= PATIENCE or self._epoch == self._most_epochs:
            self._weights = self._best.copy()
            self._finishing, self._done = self._last, not self._last


def _batches(examples: Examples) -> int:
    return -(-len(examples) // BATCH)
