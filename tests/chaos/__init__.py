"""Everything dies at random, by a seed: what was told, what was done and what was logged must agree."""
