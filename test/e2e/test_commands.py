import base64
import hashlib
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from isola import BadRequestError, ConflictError


def sh(box, script, **options):
    return box.commands.run("sh", "-c", script, **options)


def test_run_answers_with_id_output_and_exit_code(box):
    result = box.commands.run("echo", "hello", "world")
    assert (result.stdout, result.stderr, result.exit_code) == ("hello world\n", "", 0)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", result.id)


def test_arguments_arrive_as_given(box):
    words = ["", " ", "a b", "$HOME", "*", "'\"", "ünï", "--", "line\nbreak"]
    script = "import sys; print('\\0'.join(sys.argv[1:]), end='')"
    assert box.commands.run("python3", "-c", script, *words).stdout.split("\0") == words


def test_stdout_and_stderr_are_separate(box):
    result = sh(box, "echo out; echo err >&2; printf more")
    assert (result.stdout, result.stderr) == ("out\nmore", "err\n")


@pytest.mark.parametrize("code", [0, 1, 42, 126, 255])
def test_exit_codes_are_passed_on(box, code):
    assert sh(box, f"exit {code}").exit_code == code


def test_a_signal_is_exit_code_minus_1(box):
    assert sh(box, "kill -9 $$").exit_code == -1
    assert sh(box, "kill -TERM $$").exit_code == -1


def test_a_child_killed_below_a_shell_is_the_shells_code(box):
    assert sh(box, "sh -c 'kill -9 $$'; exit $?").exit_code == 137


def test_a_missing_program_is_an_exit_code(box):
    result = box.commands.run("no-such-program-anywhere")
    assert result.exit_code in (126, 127)
    assert "no-such-program-anywhere" in result.stderr


def test_env_is_the_containers_with_the_commands_on_top(make):
    sandbox = make(env={"FROM_CONTAINER": "1", "BOTH": "container"})
    result = sh(sandbox, "echo $FROM_CONTAINER $BOTH $MINE; env", env={"BOTH": "command", "MINE": "a b"})
    first, *rest = result.stdout.splitlines()
    assert first == "1 command a b"
    assert any(line.startswith("PATH=/") for line in rest)
    assert "ISOLA_CONTAINER_NAME" not in result.stdout


def test_commands_run_as_root(box):
    assert sh(box, "id -u; id -g").stdout == "0\n0\n"


def test_cwd_is_used_and_checked(box):
    assert sh(box, "pwd", cwd="/usr/lib").stdout == "/usr/lib\n"
    with pytest.raises(BadRequestError):
        sh(box, "pwd", cwd="/no/such/folder")
    with pytest.raises(BadRequestError):
        sh(box, "pwd", cwd="/etc/passwd")


def test_timeout_seconds_kills_the_command_with_its_children(box):
    started = time.monotonic()
    result = sh(box, "echo before; sleep 987 & sleep 987; echo after", timeout_seconds=1)
    assert (result.stdout, result.exit_code) == ("before\n", -1)
    assert 0.9 < time.monotonic() - started < 20
    assert sh(box, "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done | grep -c '^sleep 987'").stdout == "0\n"


def test_no_arguments_is_the_clients_fault(box):
    with pytest.raises(ValueError):
        box.commands.run()


@pytest.mark.parametrize("data", ["", "text\n", "größe\n", b"\x00\xff bytes", os.urandom(1 << 20)], ids=["empty", "text", "unicode", "bytes", "1 MiB"])
def test_input_arrives_and_is_closed(box, data):
    raw = data.encode() if isinstance(data, str) else data
    result = box.commands.run("sha256sum", input=data)
    assert result.stdout.split()[0] == hashlib.sha256(raw).hexdigest()


def test_input_that_nobody_reads_is_a_conflict_or_no_fault(box):
    try:
        assert box.commands.run("true", input="x").exit_code == 0
    except ConflictError as error:
        assert error.status_code == 409


def test_spawn_streams_while_the_command_runs(box):
    command = box.commands.spawn("sh", "-c", "echo first; read line; echo got $line; echo oops >&2")
    pieces = iter(command.stdout)
    assert next(pieces) == "first\n"
    assert command.exit_code() is None
    command.write_stdin("word\n")
    assert "".join(pieces) == "got word\n"
    assert command.wait() == 0
    assert command.exit_code() == 0
    assert command.stderr.read() == "oops\n"


def test_a_stream_is_for_one_use(box):
    command = box.commands.spawn("echo", "x")
    assert command.stdout.read() == "x\n"
    with pytest.raises(RuntimeError):
        command.stdout.read()


def test_stdin_keeps_order_and_bytes(box):
    command = box.commands.spawn("base64", "-w0")
    data = os.urandom(3000)
    for at in range(0, len(data), 300):
        command.write_stdin(data[at : at + 300])
    command.close_stdin()
    assert command.wait() == 0
    assert base64.b64decode(command.stdout.read()) == data


def test_stdin_stays_open_until_it_is_closed(box):
    command = box.commands.spawn("cat")
    command.write_stdin("a")
    time.sleep(1)
    assert command.exit_code() is None
    command.close_stdin()
    assert command.wait() == 0
    assert command.stdout.read() == "a"


def test_stdin_that_is_closed_is_a_conflict(box):
    command = box.commands.spawn("sh", "-c", "exec sleep 60")
    command.close_stdin()
    with pytest.raises(ConflictError):
        command.write_stdin("x")
    with pytest.raises(ConflictError):
        command.close_stdin()
    command.kill()


def test_stdin_of_an_ended_command_is_a_conflict(box):
    command = box.commands.spawn("true")
    command.wait()
    with pytest.raises(ConflictError):
        command.write_stdin("x")
    with pytest.raises(ConflictError):
        command.close_stdin()


def test_kill_ends_the_command_and_keeps_its_output(box):
    command = box.commands.spawn("sh", "-c", "echo kept; exec sleep 600")
    pieces = iter(command.stdout)
    assert next(pieces) == "kept\n"
    assert command.exit_code() is None
    command.kill()
    assert command.wait() == -1
    command.kill()
    assert list(pieces) == []
    assert command.exit_code() == -1


def test_wait_outlives_one_long_poll(box):
    command = box.commands.spawn("sleep", "22")
    assert command.wait() == 0


def test_a_survivor_that_holds_the_pipe_does_not_hold_the_stream(box):
    started = time.monotonic()
    result = sh(box, "sleep 600 & echo done")
    assert (result.stdout, result.exit_code) == ("done\n", 0)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"\n", "\n"),
        (b"\n\n\n", "\n\n\n"),
        (b" leading", " leading"),
        (b"data: x\nid: 7\n", "data: x\nid: 7\n"),
        (b": comment\n\nevent: x", ": comment\n\nevent: x"),
        (b"no newline", "no newline"),
        (b"a\r\nb\rc\r", "a\nb\nc\n"),
        ("\u2028 \x0b \x0c \x85 \ufeff \x00 😀".encode(), "\u2028 \x0b \x0c \x85 \ufeff \x00 😀"),
        (b"\xff\xfea\xe2\x82", "\ufffd\ufffda\ufffd"),
    ],
)
def test_any_output_is_read_as_the_stream_format_defines(box, written, read):
    script = "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))"
    assert box.commands.run("python3", "-c", script, written.hex()).stdout == read


def test_a_character_written_in_two_parts_stays_one(box):
    script = """
import os, time
for byte in "€\\r\\n😀".encode():
    os.write(1, bytes([byte])); time.sleep(0.15)
"""
    assert box.commands.run("python3", "-c", script).stdout == "€\n😀"


def test_large_output_is_complete(box):
    script = """
import sys
for n in range(400_000):
    print(f"line {n} ünd mehr Text, damit es dauert")
print("end", file=sys.stderr)
"""
    result = box.commands.run("python3", "-c", script)
    assert result.exit_code == 0
    assert result.stderr == "end\n"
    assert result.stdout == "".join(f"line {n} ünd mehr Text, damit es dauert\n" for n in range(400_000))


def test_output_of_an_ended_command_can_be_read_later(box):
    command = box.commands.spawn("sh", "-c", "echo out; echo err >&2; exit 5")
    assert command.wait() == 5
    time.sleep(1)
    assert (command.stdout.read(), command.stderr.read()) == ("out\n", "err\n")


def test_commands_at_the_same_time_do_not_mix(box):
    def one(number):
        return sh(box, f"echo {number}; sleep 0.2; echo {number} >&2; exit {number}")

    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(one, range(64)))
    assert [(r.stdout, r.stderr, r.exit_code) for r in results] == [(f"{n}\n", f"{n}\n", n) for n in range(64)]
    assert len({r.id for r in results}) == 64


def test_a_silent_command_keeps_its_stream(box):
    command = box.commands.spawn("sh", "-c", "echo a; sleep 35; echo b")
    assert command.stdout.read() == "a\nb\n"
    assert command.wait() == 0
