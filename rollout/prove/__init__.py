"""The proof: a day of rollouts, good and bad, under constant load, with every answer traced to its version."""
