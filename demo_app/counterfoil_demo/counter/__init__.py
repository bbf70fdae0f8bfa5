"""The counter: what the shop's assistant sees."""
