"""A small VC-API over our code, for the W3C's test suites, and what runs them against it."""
