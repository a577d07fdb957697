"""The page of `dagforge report`: what it says (`facts`, `details`), and how (`page`, `assets`)."""
