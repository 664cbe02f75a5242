"""Makes 100,000 small files, each unlike the others, or checks them."""
import multiprocessing, os, stat, sys

FOLDERS, IN_A_FOLDER, DAY = 200, 500, 86_400

def content(number):
    return b"%d " % number * (number % 60)

def mode(number):
    return 0o400 + number % 0o400

def numbers(folder):
    return range(folder * IN_A_FOLDER, (folder + 1) * IN_A_FOLDER)

def make(folder):
    """No number is wrong yet."""
    os.umask(0)
    os.makedirs(f"/many/{folder}")
    for number in numbers(folder):
        file = os.open(f"/many/{folder}/{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode(number))
        os.write(file, content(number))
        os.utime(file, (0, number * DAY))
        os.close(file)
    return []

def check(folder):
    """Numbers that should not be there, that are not, or whose file is not as it was."""
    found = {int(name) for name in os.listdir(f"/many/{folder}")}
    return sorted(found ^ set(numbers(folder))) + [number for number in sorted(found) if not is_kept(folder, number)]

def is_kept(folder, number):
    file = os.open(f"/many/{folder}/{number}", os.O_RDONLY)
    state, data = os.fstat(file), os.read(file, 4096)
    os.close(file)
    facts = (stat.S_IMODE(state.st_mode), state.st_mtime, state.st_nlink, data)
    return facts == (mode(number), number * DAY, 1, content(number))

with multiprocessing.Pool(2) as pool:
    wrong = sum(pool.map({"make": make, "check": check}[sys.argv[1]], range(FOLDERS)), [])
if len(os.listdir("/many")) != FOLDERS:
    wrong.append("folders")
print("all there" if not wrong else f"{len(wrong)} wrong: {wrong[:5]}")
