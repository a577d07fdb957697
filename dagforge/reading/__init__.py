"""Files as they are read: YAML with places, TOML, and what is said of their mistakes."""
