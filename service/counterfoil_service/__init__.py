"""What every service shares: its database, its socket, its keys and its answers to errors.

    engine = open_database(data / "issuer.sqlite3", METADATA)
    with transaction(engine) as connection:
        connection.execute(insert(ORDERS).values(...))
    with bind(4711) as listener:
        serve(app, listener=listener, lifeline=None)

Nothing is imported here: a till that needs no database loads none. Take what
you need from `sql`, `serving`, `access` and `errors`.
"""
