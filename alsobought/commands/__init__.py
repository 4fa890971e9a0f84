"""The commands, by subject. A module is imported only when one of its commands is called (`alsobought.cli`)."""
