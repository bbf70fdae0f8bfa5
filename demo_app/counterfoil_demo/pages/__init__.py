"""What the three faces share: the shell around every page, its words, its looks and its guard."""
