"""The example project: what a shuttle flight to the moon should cost."""
