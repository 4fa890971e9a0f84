"""The errors of checkpoints. Workers continue without checkpoints; the messages say what to do.

CheckpointError
├── NoCheckpoints   no url is set
├── UnusableUrl     fsspec cannot open the url
└── BadManifest     a manifest is damaged, or of a version that this program does not know
"""

from __future__ import annotations


class CheckpointError(Exception):
    """The base of all; the message says which file and what is wrong with it."""


class NoCheckpoints(CheckpointError):
    """No URL is set: set ALSOBOUGHT_CHECKPOINT_URL to a directory or an fsspec URL."""

    def __init__(self) -> None:
        super().__init__(
            "there are no checkpoints: set ALSOBOUGHT_CHECKPOINT_URL (or --url) to a directory or a URL"
            " such as s3://bucket/folder"
        )


class UnusableUrl(CheckpointError):
    """The URL cannot be opened: install the driver the message names (such as s3fs), or correct the URL."""


class BadManifest(CheckpointError):
    """The checkpoint cannot be used; an earlier one may."""
