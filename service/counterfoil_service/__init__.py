"""What every service shares: how it stores, answers, is called, and is watched.

    database = Database.open(data / "issuer.sqlite3", MIGRATIONS)
    token = await database.write(lambda connection: redeem(connection, form))
    with bind(4711) as listener:
        serve(app, listener=listener, lifeline=None)

Nothing is imported here: a till that needs no database loads none. Take what
you need from its modules; the folder's README says what each is for.
"""
