"""What a shuttle flight to the moon should cost."""

__version__ = "0.1"
