"""The parts of bench/peers.py. Every contender is taken from its own installed package when it runs."""
