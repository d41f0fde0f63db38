"""The commands of `assistmimic`, one module each; every heavy import happens inside a command."""
