"""The version of this program, in a module of its own: whoever states it needs nothing else."""

__version__ = "0.1.0"
