"""What DagForge costs, as ratios to something that everybody can run beside it."""
