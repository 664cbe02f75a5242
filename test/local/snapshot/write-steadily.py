"""Writes one step after the other until it is killed: in each to a database in WAL mode, to a file that is replaced, to one that is written over in place, and to a log."""
import os, sqlite3

FILES = 40
database = sqlite3.connect("/srv/steady.db")
database.execute("pragma journal_mode=wal")
database.execute("pragma synchronous=normal")
database.execute("create table one (n integer, filler blob)")
database.execute("create table two (n integer)")
database.commit()
os.mkdir("/srv/steady")
place = os.open("/srv/place", os.O_CREAT | os.O_WRONLY)
log = os.open("/srv/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
n = 0
while True:
    n += 1
    database.execute("insert into one values (?, randomblob(3000))", (n,))
    database.execute("insert into two values (?)", (n,))
    database.commit()
    # Long enough for many pages, and to be seen half written if that were possible.
    text = b"%09d\n" % n * 3000
    with open("/srv/steady/new", "wb", buffering=0) as file:
        file.write(text)
    os.rename("/srv/steady/new", "/srv/steady/%d" % (n % FILES))
    os.pwrite(place, text, 0)
    os.write(log, b"%d\n" % n)
    if n == 50:
        print("writing", flush=True)
