"""Break each guard once: `python -m tests.mutants` shows that a named test fails for each."""
