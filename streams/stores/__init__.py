"""Where the state of a task lies on this host, and how it is found when a partition is assigned.

folder       one folder for each generation of a task's store
opening      it opens the newest of store and checkpoint
here         which stores this host has, as reported to the group
checkpoints  copies of stores elsewhere
"""
