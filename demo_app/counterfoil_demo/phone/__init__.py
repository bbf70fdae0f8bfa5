"""The customer's phone: her wallet behind her passphrase, page by page."""
