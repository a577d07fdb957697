"""What a generated task executes: a task's nodes, with their data from and to the store.

Nothing here is imported when pipelines are compiled; a task imports nothing of the compiler but
what reads the pipeline.
"""
