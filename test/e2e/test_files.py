import hashlib
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from both import Blocking
from isola import APIConnectionError, APIError, BadRequestError, NotFoundError

MIB = 1 << 20


def pattern(size):
    block = hashlib.sha512(b"atoll").digest() * 1024
    return (block * (size // len(block) + 1))[:size]


@pytest.fixture
def folder(box):
    path = f"/root/{os.urandom(8).hex()}"
    yield path
    box.commands.run("rm", "-rf", path)


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 100 * MIB], ids=["0", "1", "64 KiB", "100 MiB"])
def test_files_come_back_as_they_went(box, folder, size):
    data = pattern(size)
    box.filesystem.write(f"{folder}/file", data)
    digest = box.commands.run("sha256sum", f"{folder}/file").stdout.split()[0]
    assert digest == hashlib.sha256(data).hexdigest()
    assert box.filesystem.read(f"{folder}/file") == data


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_file_of_1_gib_comes_back_as_it_went(box, folder):
    data = pattern(1024 * MIB)
    box.filesystem.write(f"{folder}/file", data)
    assert box.commands.run("sha256sum", f"{folder}/file").stdout.split()[0] == hashlib.sha256(data).hexdigest()
    assert box.filesystem.read(f"{folder}/file") == data


def test_text_is_written_as_utf_8(box, folder):
    box.filesystem.write(f"{folder}/text", "grüße\r\n")
    assert box.filesystem.read(f"{folder}/text").decode() == "grüße\r\n"


def test_an_upload_in_chunks_of_unknown_length_is_complete(box, folder):
    pieces = [b"", b"a", pattern(200_000), b"", b"z"]

    async def later():
        for piece in pieces:
            yield piece

    box.filesystem.write(f"{folder}/chunks", later() if isinstance(box, Blocking) else iter(pieces))
    assert box.filesystem.read(f"{folder}/chunks") == b"".join(pieces)


def test_an_open_file_is_uploaded(box, folder):
    if isinstance(box, Blocking):
        # The released asynchronous client refuses plain file objects before it sends anything.
        with pytest.raises(APIConnectionError):
            box.filesystem.write(f"{folder}/file", io.BytesIO(b"content"))
        return
    box.filesystem.write(f"{folder}/file", io.BytesIO(b"content"))
    assert box.filesystem.read(f"{folder}/file") == b"content"


def test_a_write_replaces_the_whole_file(box, folder):
    box.filesystem.write(f"{folder}/file", "long content")
    box.filesystem.write(f"{folder}/file", "x")
    assert box.filesystem.read(f"{folder}/file") == b"x"


def test_a_file_is_never_seen_half_written(box, folder):
    one, two = b"1" * (8 * MIB), b"2" * (8 * MIB)
    box.filesystem.write(f"{folder}/file", one)
    stop = threading.Event()
    seen = []

    def watch():
        while not stop.is_set():
            seen.append(box.commands.run("sha256sum", f"{folder}/file").stdout.split()[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(4):
        box.filesystem.write(f"{folder}/file", two)
        box.filesystem.write(f"{folder}/file", one)
    stop.set()
    watcher.join()
    assert set(seen) <= {hashlib.sha256(one).hexdigest(), hashlib.sha256(two).hexdigest()}
    assert box.commands.run("ls", "-A", folder).stdout == "file\n"


def test_parents_mode_and_owner(box, folder):
    box.filesystem.write(f"{folder}/a/b/file", "x")
    stat = box.commands.run("stat", "-c", "%a %u %g", f"{folder}/a", f"{folder}/a/b", f"{folder}/a/b/file").stdout
    assert stat == "755 0 0\n755 0 0\n666 0 0\n"


@pytest.mark.parametrize("name", ["a b", "a+b", "100%", "a%20b", "ünï", "a#b?c&d=e", "'quote\"", "-rf", "*"])
def test_names_are_taken_as_they_are(box, folder, name):
    box.filesystem.write(f"{folder}/{name}", name)
    assert box.filesystem.read(f"{folder}/{name}").decode() == name
    assert box.commands.run("ls", folder, env={"LC_ALL": "C.UTF-8"}).stdout.rstrip("\n") == name


def test_a_relative_path_starts_at_the_containers_working_directory(make):
    sandbox = make(command=["sh", "-c", "cd /usr/share && exec sleep infinity"])
    sandbox.filesystem.write("relative/file", "here")
    assert sandbox.commands.run("cat", "/usr/share/relative/file").stdout == "here"
    assert sandbox.filesystem.read("./relative/../relative/file") == b"here"


def test_dots_do_not_leave_the_root(box):
    assert box.filesystem.read("/../../../../etc/os-release") == box.filesystem.read("/etc/os-release")


def test_a_missing_file_is_not_found(box):
    with pytest.raises(NotFoundError):
        box.filesystem.read("/no/such/file")


@pytest.mark.parametrize("path", ["/etc", "/", "/dev/zero", "/dev/null"])
def test_what_is_no_regular_file_is_a_bad_request(box, path):
    with pytest.raises(BadRequestError):
        box.filesystem.read(path)


def test_a_fifo_is_refused_and_does_not_hang(box, folder):
    box.commands.run("sh", "-c", f"mkdir {folder}; mkfifo {folder}/fifo")
    with pytest.raises(BadRequestError):
        box.filesystem.read(f"{folder}/fifo")


def test_a_parent_that_is_a_file_is_the_callers_fault(box):
    with pytest.raises(APIError) as raised:
        box.filesystem.write("/etc/passwd/file", "x")
    assert 400 <= raised.value.status_code < 500


def test_writing_to_a_directory_is_the_callers_fault(box):
    with pytest.raises(APIError) as raised:
        box.filesystem.write("/etc", "x")
    assert 400 <= raised.value.status_code < 500
    assert box.commands.run("test", "-d", "/etc").exit_code == 0


def test_symbolic_links_are_followed_inside_the_root_only(box, folder):
    box.commands.run("sh", "-c", f"mkdir {folder}; ln -s /etc/os-release {folder}/in; ln -s ../../../../../proc/1/root/etc/shadow {folder}/out")
    try:
        assert box.filesystem.read(f"{folder}/in") == box.filesystem.read("/etc/os-release")
    except APIError as error:
        assert 400 <= error.status_code < 500
    with pytest.raises(APIError) as raised:
        box.filesystem.read(f"{folder}/out")
    assert 400 <= raised.value.status_code < 500


def test_transfers_at_the_same_time_do_not_mix(box, folder):
    def trip(number):
        data = hashlib.sha512(str(number).encode()).digest() * 8192
        box.filesystem.write(f"{folder}/{number}", data)
        return box.filesystem.read(f"{folder}/{number}") == data

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(trip, range(48)))
