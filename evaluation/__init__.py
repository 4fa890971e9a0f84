"""Which algorithm recommends what is bought next: every one asked the same question of the same events."""
