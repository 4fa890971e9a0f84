"""Faust's command, which starts faster: `python -m streams.process.starting -A streams.app worker`.

Modules are there to stay. To look for cycles of objects among them, as Python does again and again while it
imports, takes a sixth of the time that the imports take.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # until `streams.process.heap.collect_rarely`
    from faust.cli.faust import cli

    cli()
