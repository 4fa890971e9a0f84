"""The stack on this machine: Kafka, workers, recommenders and the page.

stack           starting and stopping all of them together
worker_process  one worker or recommender as a process
"""
