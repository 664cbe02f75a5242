"""Makes a file of 4 GiB and a bit, or checks it: no page is like another, and a quarter of it cannot be packed."""
import random, sys

PATH, PIECES, PIECE, PAGE = "/large", 4096, 1 << 20, 4096
TAIL = b"beyond 4 GiB"

def piece(number):
    """Random pages, and such as have but their number."""
    noise = random.Random(number).randbytes(PIECE // 4)
    first = number * PIECE // PAGE
    pages = range(first + len(noise) // PAGE, first + PIECE // PAGE)
    return noise + b"".join(page.to_bytes(8, "big") * (PAGE // 8) for page in pages)

def pieces():
    yield from map(piece, range(PIECES))
    yield TAIL

def make():
    with open(PATH, "wb") as file:
        for data in pieces():
            file.write(data)

def check():
    with open(PATH, "rb") as file:
        for number, data in enumerate(pieces()):
            found = file.read(len(data))
            if found != data:
                print(f"piece {number} differs")
                return
        print("all there" if file.read(1) == b"" else "it is longer than it was")

{"make": make, "check": check}[sys.argv[1]]()
