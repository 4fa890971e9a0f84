"""The process a worker runs in: its threads, its memory, and its place among other processes.

threads    computing in threads, which a cancellation does not interrupt
starting   Faust's command, which starts faster
heap       huge pages, and how the C library manages memory; priority: which processes go first
seed       the seed of hash tables
tracing    whether spans are made; traces: makes them, with OpenTelemetry
logs       logs as JSON; histogram: many equal observations at once
"""
