"""The brand's desk: what its manager sees."""
