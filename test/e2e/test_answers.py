"""What the contract promises and the client does not show, over plain HTTP."""

import time

import pytest

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def sandbox(http, image):
    made = http.post("/v1/sandboxes", json={"podTemplate": {"containers": [{"image": image}]}})
    assert made.status_code == 201
    identity = made.json()["id"]
    yield f"/v1/sandboxes/{identity}"
    http.delete(f"/v1/sandboxes/{identity}")


@pytest.fixture(scope="module")
def command(http, sandbox):
    made = http.post(f"{sandbox}/commands", json={"args": ["sh", "-c", "printf 'hello\\n'; exit 3"]})
    assert made.status_code == 202
    path = f"{sandbox}/commands/{made.json()['id']}"
    assert http.get(f"{path}/status", params={"waitSeconds": 20}).json() == {"exitCode": 3}
    return path


def problem(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"].split(";")[0] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["detail"] and "\n" not in body["detail"]
    return body


@pytest.mark.parametrize("path", ["/health", "/healthz", "/ready", "/readyz"])
def test_health(http, path):
    assert http.get(path).json()["status"] == "ok"


def test_version(http):
    version = http.get("/version").json()
    assert all(version[name] for name in ("gitVersion", "goVersion", "platform"))


def test_openapi_and_its_page(http):
    document = http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/v1/sandboxes/{id}" in document["paths"]
    assert http.get("/docs").headers["content-type"].startswith("text/html")


def test_a_stream_has_the_contracts_headers_and_format(http, command):
    response = http.get(f"{command}/stdout")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "no-cache" in response.headers["cache-control"]
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in response.headers
    assert response.text == "data: hello\ndata: \nid: 6\n\n"


@pytest.mark.parametrize(("offset", "text"), [("0", "data: hello\ndata: \nid: 6\n\n"), ("2", "data: llo\ndata: \nid: 6\n\n"), ("6", ""), ("99", "")])
def test_a_stream_resumes_at_a_byte(http, command, offset, text):
    assert http.get(f"{command}/stdout", headers={"Last-Event-ID": offset}).text == text


@pytest.mark.parametrize("offset", ["-1", "x", "1.5"])
def test_a_bad_offset_is_400(http, command, offset):
    problem(http.get(f"{command}/stdout", headers={"Last-Event-ID": offset}), 400)


def test_status_waits_as_long_as_asked(http, sandbox):
    identity = http.post(f"{sandbox}/commands", json={"args": ["sleep", "60"]}).json()["id"]
    path = f"{sandbox}/commands/{identity}"
    started = time.monotonic()
    assert http.get(f"{path}/status", params={"waitSeconds": 1}).json() == {"exitCode": None}
    assert time.monotonic() - started > 0.9
    assert http.get(f"{path}/status", params={"waitSeconds": 0}).json() == {"exitCode": None}
    assert http.delete(path).status_code == 204
    assert http.get(f"{path}/status", params={"waitSeconds": 20}).json() == {"exitCode": -1}


@pytest.mark.parametrize("seconds", ["26", "-1", "x", "1.5"])
def test_a_wait_out_of_range_is_422(http, command, seconds):
    problem(http.get(f"{command}/status", params={"waitSeconds": seconds}), 422)


def test_what_is_not_there_is_404(http, sandbox):
    problem(http.get("/v1/sandboxes/aaaaaaaaaaaaaaaaaaaaaa"), 404)
    problem(http.get("/v1/nothing"), 404)
    problem(http.post("/v1/sandboxes/aaaaaaaaaaaaaaaaaaaaaa/commands", json={"args": ["true"]}), 404)
    problem(http.get("/v1/sandboxes/aaaaaaaaaaaaaaaaaaaaaa/filesystem", params={"path": "/x"}), 404)
    problem(http.delete(f"{sandbox}/commands/{UNKNOWN}"), 404)
    for part in ("status", "stdout", "stderr"):
        problem(http.get(f"{sandbox}/commands/{UNKNOWN}/{part}"), 404)
    problem(http.post(f"{sandbox}/commands/{UNKNOWN}/stdin", content=b"x"), 404)
    problem(http.post(f"{sandbox}/commands/{UNKNOWN}/stdin/close"), 404)


def test_removing_an_unknown_sandbox_is_204(http):
    assert http.delete("/v1/sandboxes/aaaaaaaaaaaaaaaaaaaaaa").status_code == 204


def test_an_unknown_method_is_405(http):
    problem(http.put("/v1/sandboxes"), 405)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"podTemplate": {}},
        {"podTemplate": {"containers": [{"image": ""}]}},
        {"podTemplate": {"containers": [{"image": "x", "unknown": 1}]}},
        {"podTemplate": {"containers": [{"image": "x"}]}, "unknown": True},
        {"podTemplate": {"containers": [{"image": "x"}]}, "terminationPolicy": {"type": "SnapshotRootfs"}},
        {"podTemplate": {"containers": [{"image": "x"}]}, "network": {"allowInternetEgress": "yes"}},
    ],
)
def test_a_body_of_another_shape_is_422_with_the_place(http, body):
    assert problem(http.post("/v1/sandboxes", json=body), 422)["errors"]


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b"[1,"])
def test_a_body_that_is_no_json_is_400(http, content):
    problem(http.post("/v1/sandboxes", content=content, headers={"Content-Type": "application/json"}), 400)


def test_a_body_above_the_limit_is_413(http):
    big = b'{"x":"' + b"a" * (3 << 20) + b'"}'
    problem(http.post("/v1/sandboxes", content=big, headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize("body", [{"args": []}, {"args": "true"}, {"args": ["true"], "timeoutSeconds": 0}, {"args": ["true"], "x": 1}])
def test_a_command_of_another_shape_is_422(http, sandbox, body):
    problem(http.post(f"{sandbox}/commands", json=body), 422)


def test_a_command_id_that_is_none_is_422(http, sandbox):
    problem(http.get(f"{sandbox}/commands/first/status"), 422)


def test_a_file_without_a_path_is_422(http, sandbox):
    problem(http.get(f"{sandbox}/filesystem"), 422)
    problem(http.get(f"{sandbox}/filesystem", params={"path": ""}), 422)


def test_an_idempotency_key_makes_one_of_two(http, image):
    key = {"Idempotency-Key": f"key-{time.time_ns()}"}
    body = {"podTemplate": {"containers": [{"image": image}]}}
    first, second = (http.post("/v1/sandboxes", json=body, headers=key).json()["id"] for _ in range(2))
    assert first == second
    problem(http.post("/v1/sandboxes", json={**body, "timeoutSeconds": 9}, headers=key), 422)
    args = {"args": ["sh", "-c", "echo once >> /count"]}
    made = [http.post(f"/v1/sandboxes/{first}/commands", json=args, headers=key).json()["id"] for _ in range(3)]
    assert len(set(made)) == 1
    http.get(f"/v1/sandboxes/{first}/commands/{made[0]}/status", params={"waitSeconds": 20})
    assert http.get(f"/v1/sandboxes/{first}/filesystem", params={"path": "/count"}).text == "once\n"
    http.delete(f"/v1/sandboxes/{first}")


@pytest.mark.parametrize("header", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
def test_a_web_page_cannot_drive_a_gateway_without_keys(http, header):
    assert http.get("/v1/sandboxes", headers=header).status_code == 403
