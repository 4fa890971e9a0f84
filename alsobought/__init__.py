"""The user's side: the command line, the local stack and the demo.

cli         the command `alsobought`; loading: its commands are imported when they are called
commands    what each command does, by subject; sources: the files that it reads
doctor      what may be wrong with an installation
demo        the demo; local: Kafka, workers, recommenders and the page on this machine
options     what commands share; publish_options: what those of `publish` share
saying      what commands say beside their results; tables, bars: tables, and the progress of long work
signals     how Ctrl-C and SIGTERM end a command
place       where a local stack is found; kernels: where compiled kernels are kept
clients     it asks workers; advising: it asks recommenders
deployments two deployments side by side: comparing them, and copying events from one to the other
status      what runs and how far it is; meter: how fast workers are; refused: what they refused
draining    it waits until everything published is counted and listed
holding     which events of a log still count; rebuilding: it discards all state and recounts them
restoring   it restores checkpoints by hand
training    it trains a chronological model; evaluating: it reads events for an evaluation
"""
