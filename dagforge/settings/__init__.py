"""What settings may hold, and what they mean."""
