"""The doors: who may ask the API and the queries of workers and recommenders, and whom they ask themselves.

errors        what is refused, and why
rights        every endpoint, and the right that it wants
tokens        tokens, kept as hashes
names         hosts by name and by network: of the header Host, and of addresses to call
rates         how many requests of each client are answered
guard         checks a request by all of these
calling       calls an address that comes from a topic
policy        all of it, from the settings
"""
