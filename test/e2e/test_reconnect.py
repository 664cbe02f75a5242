import pytest
from cutting_proxy import CuttingProxy

#: Deterministic, about 6 MB, with characters of one to four bytes and lines of all lengths.
LINES = 30_000
SCRIPT = f"""
import sys
for n in range({LINES}):
    sys.stdout.write(f"{{n}}: " + "aé€😀"[n % 4] * (n % 97) + ("\\n" if n % 5 else "\\n\\n"))
print("end of stderr", file=sys.stderr)
"""
EXPECTED = "".join(f"{n}: " + "aé€😀"[n % 4] * (n % 97) + ("\n" if n % 5 else "\n\n") for n in range(LINES))


@pytest.fixture
def cut(connect, url, box):
    """The same sandbox through a proxy that cuts streams after so many bytes."""
    opened = []

    def through(between, seed=1):
        proxy = CuttingProxy(url, between, seed)
        client = connect(proxy.url)
        client.__enter__()
        opened.append((client, proxy))
        return client.sandboxes.get(box.id), proxy

    yield through
    for client, proxy in opened:
        client.__exit__(None, None, None)
        proxy.close()


def test_a_stream_cut_a_few_times_is_whole(cut):
    sandbox, proxy = cut((1_200_000, 1_800_000))
    assert sandbox.commands.run("python3", "-c", SCRIPT).stdout == EXPECTED
    assert proxy.cuts >= 2


@pytest.mark.parametrize("between", [(40_000, 90_000), (70_000, 71_000)])
def test_a_stream_cut_many_times_is_whole(cut, monkeypatch, between):
    # The client's own pause of a second between two attempts would make this a matter of minutes.
    monkeypatch.setattr("isola._streaming.RETRY_DELAY", 0.005)
    sandbox, proxy = cut(between)
    result = sandbox.commands.run("python3", "-c", SCRIPT)
    assert result.stdout == EXPECTED
    assert result.stderr == "end of stderr\n"
    assert result.exit_code == 0
    assert proxy.cuts > 40


def test_a_stream_cut_while_it_is_written_is_whole(cut, monkeypatch):
    monkeypatch.setattr("isola._streaming.RETRY_DELAY", 0.005)
    # An event counts only as a whole, and one has up to 32 KiB of what has piled up meanwhile.
    sandbox, proxy = cut((40_000, 70_000))
    script = "import time\nfor n in range(400): print(n, '€' * 700, flush=True); time.sleep(0.005)"
    command = sandbox.commands.spawn("python3", "-c", script)
    assert "".join(command.stdout) == "".join(f"{n} {'€' * 700}\n" for n in range(400))
    assert command.wait() == 0
    assert proxy.cuts > 8
