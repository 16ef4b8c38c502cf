"""Measurements: how fast the console takes requests in, and how soon a click is in force."""
