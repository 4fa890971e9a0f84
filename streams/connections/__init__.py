"""How this process reaches Kafka: the address, who it is there, and every client it makes.

security     the protocol, certificates and credentials, from the settings
tokens       the tokens of OAUTHBEARER, from a file or from a token endpoint
bootstrap    an address together with its security: what a function needs that talks to Kafka
clients      it makes every client of Kafka; no other module does
records      records as these consumers deliver them; decompressing: batches of them, of a bounded size
admission    whether Kafka admits this process, and why not; errors: settings that are not secure
"""
