import pytest
from isola import BadRequestError, Container, ResourceList, ResourceRequirements, ValidationError

LIMITS = ResourceRequirements(limits=ResourceList(cpu="500m", memory="256Mi", ephemeral_storage="512Mi"))
SERVE = ["python3", "-m", "http.server", "8080", "--bind", "127.0.0.1", "--directory", "/srv"]
FETCH = """
import time, urllib.request
for _ in range(100):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:8080/hello").read().decode(), end="")
        break
    except OSError:
        time.sleep(0.1)
"""


@pytest.fixture(scope="session")
def pair(client, image):
    containers = [
        Container(name="api", image=image, command=SERVE, env={"WHO": "api"}, resources=LIMITS),
        Container(name="test", image=image, env={"WHO": "test"}, resources=LIMITS),
    ]
    with client.sandboxes.create(containers=containers) as sandbox:
        yield sandbox


def test_containers_are_echoed_in_order(pair, image):
    assert [(c.name, c.image, c.command) for c in pair.containers] == [("api", image, SERVE), ("test", image, None)]
    assert all(c.resources == LIMITS for c in pair.containers)


def test_containers_share_localhost(pair):
    pair.filesystem.write("/srv/hello", "from the other container", container="api")
    result = pair.commands.run("python3", "-c", FETCH, container="test")
    assert (result.stdout, result.exit_code) == ("from the other container", 0)


def test_each_container_has_its_own_root_and_environment(pair):
    for name in ("api", "test"):
        pair.filesystem.write("/mine", name, container=name)
    for name in ("api", "test"):
        assert pair.filesystem.read("/mine", container=name).decode() == name
        assert pair.commands.run("sh", "-c", "cat /mine; echo $WHO", container=name).stdout == f"{name}{name}\n"
    assert pair.commands.run("test", "-e", "/srv/hello", container="test").exit_code == 1


@pytest.mark.parametrize("container", [None, "other"])
def test_a_container_must_be_named_rightly(pair, container):
    with pytest.raises(BadRequestError):
        pair.commands.run("true", container=container)
    with pytest.raises(BadRequestError):
        pair.filesystem.read("/etc/os-release", container=container)
    with pytest.raises(BadRequestError):
        pair.filesystem.write("/x", "x", container=container)


def test_unnamed_containers_are_named_by_position(make, image):
    sandbox = make(containers=[Container(name="first", image=image), Container(image=image)])
    assert [c.name for c in sandbox.containers] == ["first", "sandbox1"]
    assert sandbox.commands.run("echo", "x", container="sandbox1").stdout == "x\n"


def test_one_container_may_be_named_or_not(box):
    assert box.commands.run("echo", "x", container="sandbox0").stdout == "x\n"
    assert box.commands.run("echo", "x").stdout == "x\n"


def test_a_name_twice_is_refused(make, image):
    with pytest.raises(ValidationError):
        make(containers=[Container(name="a", image=image), Container(name="a", image=image)])
