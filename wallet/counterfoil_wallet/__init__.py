"""Counterfoil."""
