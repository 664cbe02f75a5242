"""Writes to a database in WAL mode until it is killed: two tables that are equal after each transaction."""
import sqlite3

database = sqlite3.connect("/srv/steady.db")
database.execute("pragma journal_mode=wal")
database.execute("pragma synchronous=normal")
database.execute("create table one (n integer, filler blob)")
database.execute("create table two (n integer)")
database.commit()
n = 0
while True:
    n += 1
    database.execute("insert into one values (?, randomblob(3000))", (n,))
    database.execute("insert into two values (?)", (n,))
    database.commit()
    if n == 50:
        print("writing", flush=True)
