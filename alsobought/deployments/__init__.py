"""Two deployments side by side: a second one beside the first in the same Kafka, or in another cluster.

other       which deployment is meant beside that of the settings
copying     copies events and the catalogue from one to the other
writing     writes the records of a copy, and marks how far it is
reading     reads the published lists of both, a part of the items at a time
comparing   compares what both publish; differences: by how much two publications of an item differ
"""
