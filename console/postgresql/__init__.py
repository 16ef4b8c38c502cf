"""Django's PostgreSQL backend over lines that are given up in time."""
