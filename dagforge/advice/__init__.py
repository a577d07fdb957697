"""What groupings cost, and a better one: a cost model, a simulation, a search."""
