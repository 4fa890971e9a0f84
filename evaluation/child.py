"""The process of one algorithm: `python -m evaluation.child TASK FOLDER NAME`.

    answer       ask the algorithm at every cutoff; FOLDER/NAME.npz has what it showed, and times
    prequential  test and train on the whole stream; FOLDER/prequential.json has the hits

Every line on standard output is the share done. Memory is the peak of the process: Python and the packages
take some 100 to 200 MiB of it before there are any events.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from evaluation import files, prequential
from evaluation.algorithms import make


def answer(folder: Path, name: str) -> None:
    """Ask one algorithm."""
    events = files.read(folder)
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    cutoffs, asked = plan["cutoffs"], np.load(folder / "asked.npz")
    algorithm = make(name)
    shown, train_s, recommend_s = {}, 0.0, 0.0
    for n, cutoff_ms in enumerate(cutoffs):
        algorithm.progress = lambda share, n=n: _report_share((n + share) / len(cutoffs))  # type: ignore[misc]
        begin = time.perf_counter()
        algorithm.fit(events.before(cutoff_ms), cutoff_ms)
        fitted = time.perf_counter()
        shown[f"shown{n}"] = algorithm.recommend(asked[f"asked{n}"], plan["k"], new_only=plan["new_only"])
        train_s, recommend_s = train_s + fitted - begin, recommend_s + time.perf_counter() - fitted
        _report_share((n + 1) / len(cutoffs))
    numbers = np.array([train_s, recommend_s, peak_mib()])
    np.savez(folder / f"{name}.npz", allow_pickle=False, numbers=numbers, **shown)


def peak_mib() -> float:
    """Return the peak memory of this process since exec, so that its parent's memory is not counted."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _report_share(share: float) -> None:
    print(round(share, 4), flush=True)


def main(task: str, folder: str, name: str) -> None:
    """Run the task."""
    if task == "answer":
        answer(Path(folder), name)
    else:
        events = files.read(Path(folder))
        (Path(folder) / "prequential.json").write_text(json.dumps(prequential.run(events, _report_share)))


if __name__ == "__main__":
    main(*sys.argv[1:])
