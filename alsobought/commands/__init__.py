"""The commands, by subject. `alsobought.cli` imports a module only when one of its commands is called."""
