"""Checkpoints of stores: copies elsewhere, from which a worker with an empty disk begins.

    <url>/<task>/files/<sha256>            files of RocksDB, each once however many checkpoints have it
    <url>/<task>/manifests/<number>-<unique>.json   what a checkpoint consists of; written last

`url` is a directory or anything fsspec knows (s3://bucket/folder and the like).

taking    when a task's store is copied, beside its work
store     taking, listing, verifying and restoring checkpoints
manifest  what a checkpoint consists of; remote: files at a URL; errors: what may be wrong
"""

from streams.stores.checkpoints.errors import CheckpointError, NoCheckpoints, UnusableUrl
from streams.stores.checkpoints.manifest import Checkpoint, StoredFile
from streams.stores.checkpoints.store import Checkpoints

__all__ = ["Checkpoint", "CheckpointError", "Checkpoints", "NoCheckpoints", "StoredFile", "UnusableUrl"]
