"""Says what is wrong with the files of write-steadily.py if they are to be as of one moment: nothing is half a step, and the parts of a step are one behind the other at most."""
import json, os, sqlite3

FILES, LINES = 40, 3000
faults = []

def step_of(path):
    """The step in which a file was written, whole."""
    with open(path, "rb") as file:
        data = file.read()
    if data != data[:10] * LINES or len(data) != 10 * LINES:
        faults.append(f"{path} is of no single step: {len(data)} bytes, {len(set(data.split()))} steps")
    return int(data[:10] or 0)

database = sqlite3.connect("/srv/steady.db")
integrity = database.execute("pragma integrity_check").fetchone()[0]
if integrity != "ok":
    faults.append(f"the database: {integrity}")
tables = [database.execute(f"select count(*), max(n) from {table}").fetchone() for table in ("one", "two")]
(count, written), _ = tables
if tables[0] != tables[1] or count != written or count < 50:
    faults.append(f"the tables: {tables}")
replaced = sorted(step_of(f"/srv/steady/{name}") for name in os.listdir("/srv/steady") if name != "new")
if replaced != list(range(replaced[-1] - FILES + 1, replaced[-1] + 1)):
    faults.append(f"the files are of the steps {replaced}")
with open("/srv/log") as file:
    logged = file.read().split("\n")[:-1]
if logged != [str(n) for n in range(1, len(logged) + 1)]:
    faults.append(f"the log ends with {logged[-3:]}")
steps = [written, replaced[-1], step_of("/srv/place"), len(logged)]
if steps != sorted(steps, reverse=True) or steps[0] - steps[-1] > 1:
    faults.append(f"database, files, place and log are at {steps}")
print(json.dumps(faults))
