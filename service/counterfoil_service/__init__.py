"""What every service shares: how it stores, answers, is called, and is watched.

    engine = open_database(data / "issuer.sqlite3", METADATA)
    with transaction(engine) as connection:
        connection.execute(insert(ORDERS).values(...))
    with bind(4711) as listener:
        serve(app, listener=listener, lifeline=None)

Nothing is imported here: a till that needs no database loads none. Take what
you need from its modules; the folder's README says what each is for.
"""
