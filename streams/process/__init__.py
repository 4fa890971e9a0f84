"""The process a worker runs in: its threads, its memory, and its place among other processes."""
