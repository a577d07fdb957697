"""Pictures of pipelines: what is in them, where it stands, and the formats they are written in."""
