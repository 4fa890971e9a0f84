"""Find out which algorithm recommends what is bought next.

All algorithms answer the same question about the same events.

protocol      the question; metrics: what is measured of the answers
histories     events as histories; files: events that the processes of all algorithms share
algorithms    one file for each algorithm; scoring, cooccurrence: what several of them share
models        the chronological model that would have been trained at a moment
running       an evaluation; children, child: each algorithm in a process of its own
prequential   another way to judge: each basket is first a test, then a training example
report        the page of results; plots: its plots
extra         the packages that only evaluating needs; errors: what may be wrong
"""
