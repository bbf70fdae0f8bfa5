"""One file per promise about speed or size, each measured against a peer or the raw call."""
