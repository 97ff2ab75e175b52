"""The parts of bench/ladder.py: a kernel a rung, each in a file of its own, and what runs them."""
