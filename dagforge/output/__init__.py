"""Generated files: their headers, and how they reach the disk."""
