"""Why are employees absent, and for how long?"""
