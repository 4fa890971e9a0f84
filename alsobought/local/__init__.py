"""The stack on this machine: Kafka, workers, recommenders and the page.

stack           it starts and stops all of them together
worker_process  one worker or recommender as a process
"""
