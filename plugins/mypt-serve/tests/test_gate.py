"""Who may ask, from where and how much; and what becomes of those who are slow, or leave."""

import json
import socket
import threading
import time

import httpx
import pytest
from mypt_serve.settings import Access, Limits

HTTP = httpx.Client(timeout=30)
TOKEN = "a-secret-of-the-test"
ASK = {"model": "chatty", "prompt": "the cat", "max_tokens": 2}
# The plain model has no token that could end this.
LONG = {"model": "plain", "prompt": "the cat", "max_tokens": 100_000}


@pytest.fixture(scope="module", autouse=True)
def _close():
    yield
    HTTP.close()


@pytest.fixture(scope="module")
def guarded(serve, chat_model):
    access = Access(token=TOKEN, origins=("https://friend.example",))
    limits = Limits(body_bytes=2000, headers_s=0.3, body_s=0.3)
    return serve(chat_model, access=access, limits=limits)


@pytest.fixture(scope="module")
def small(serve, plain_model):
    """A server that makes one text at a time, and lets one wait."""
    limits = Limits(new_tokens=100_000, generation_s=60)
    return serve(plain_model, max_rows=1, max_waiting=1, limits=limits)


def ask(server, **headers):
    return HTTP.post(f"{server.url}/v1/completions", json=ASK, headers=headers)


def bearer(token=TOKEN):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        {"Authorization": "Bearer"},
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "x"),
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"X-Api-Key": TOKEN},
    ],
)
def test_without_the_token_nothing_is_answered(guarded, headers):
    for method, path in (("POST", "/v1/completions"), ("GET", "/v1/models"), ("GET", "/card")):
        response = HTTP.request(method, guarded.url + path, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.json()["error"]["type"] == "authentication_error"
        assert "chatty" not in response.text


def test_with_the_token_all_is_answered_and_the_page_needs_none(guarded):
    assert ask(guarded, **bearer()).status_code == 200
    assert ask(guarded, Authorization=f"bearer {TOKEN}").status_code == 200
    for path in ("/", "/health"):
        page = HTTP.get(guarded.url + path)
        assert page.status_code == 200
        assert "chatty" not in page.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_name_that_is_not_of_this_machine_is_refused(server, host):
    response = ask(server, Host=host)
    assert response.status_code in (400, 403)
    assert "error" in response.json()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:80", "[::1]:80"])
def test_every_name_of_this_machine_is_fine(server, host):
    assert ask(server, Host=host).status_code == 200


def test_other_pages_may_ask_only_where_that_was_allowed(server, guarded):
    assert ask(server, Origin="https://friend.example").status_code == 403
    assert ask(server, Origin="null").status_code == 403
    assert ask(server, Origin=server.url).status_code == 200
    friend = ask(guarded, Origin="https://friend.example", **bearer())
    assert friend.status_code == 200
    assert friend.headers["Access-Control-Allow-Origin"] == "https://friend.example"
    assert ask(guarded, Origin="https://evil.example", **bearer()).status_code == 403
    asked = {"Access-Control-Request-Method": "POST", "Origin": "https://friend.example"}
    before = HTTP.options(f"{guarded.url}/v1/completions", headers=asked)
    assert before.status_code == 204
    assert "Authorization" in before.headers["Access-Control-Allow-Headers"]
    stranger = {**asked, "Origin": "https://evil.example"}
    assert HTTP.options(f"{guarded.url}/v1/completions", headers=stranger).status_code == 403
    assert "Access-Control-Allow-Origin" not in ask(server).headers


def test_every_answer_has_the_headers_that_keep_browsers_strict(server):
    for response in (ask(server), HTTP.get(server.url), HTTP.get(f"{server.url}/no")):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cache-Control"] == "no-store"
        assert "server" not in response.headers


def test_a_large_body_is_refused_before_it_is_read_and_while_it_is(guarded):
    url, large = f"{guarded.url}/v1/completions", b"x" * 3000
    kind = {"Content-Type": "application/json", **bearer()}
    assert HTTP.post(url, content=large, headers=kind).status_code == 413

    def pieces():
        for _ in range(10):
            yield large[:300]

    streamed = HTTP.post(url, content=pieces(), headers=kind)
    assert streamed.status_code == 413
    assert streamed.json()["error"]["code"] == "body_too_large"


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def read_all(connection):
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionError:
        pass
    return received


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_client_that_is_slow_to_say_what_it_wants_is_left(guarded, sent):
    with connect(guarded) as connection:
        begin = time.monotonic()
        connection.sendall(sent)
        assert read_all(connection) == b""
        assert 0.2 < time.monotonic() - begin < 5


def test_a_body_that_is_slow_is_refused(guarded):
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n{{"
    with connect(guarded) as connection:
        connection.sendall(head.encode())
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"took longer than 0.3 s" in answer


def test_a_second_request_on_a_connection_is_answered_too(guarded):
    with httpx.Client(base_url=guarded.url, headers=bearer()) as client:
        for _ in range(3):
            assert client.post("/v1/completions", json=ASK).status_code == 200
            time.sleep(0.4)  # longer than headers may take


def send_long(server, stream):
    body = json.dumps({**LONG, "stream": stream}).encode()
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection = connect(server)
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


@pytest.mark.parametrize("stream", [True, False])
def test_a_text_ends_when_its_client_is_gone(small, stream):
    small.wait_until_idle()
    connection = send_long(small, stream)
    while not small.batcher.n_running:
        time.sleep(0.01)
    if stream:
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    connection.close()
    small.wait_until_idle(5)


def test_one_that_waits_leaves_the_queue_when_its_client_is_gone(small):
    first, second = send_long(small, True), send_long(small, False)
    while not (small.batcher.n_running and small.batcher.n_waiting):
        time.sleep(0.01)
    second.close()
    while small.batcher.n_waiting:
        time.sleep(0.01)
    assert small.batcher.n_running == 1
    first.close()
    small.wait_until_idle(5)


def test_when_the_queue_is_full_others_are_told_when_to_come_back(small):
    first = send_long(small, True)
    while not small.batcher.n_running:
        time.sleep(0.01)
    second = send_long(small, True)
    while not small.batcher.n_waiting:
        time.sleep(0.01)
    short = {**LONG, "max_tokens": 2}
    third = HTTP.post(f"{small.url}/v1/completions", json=short)
    assert third.status_code == 429
    assert int(third.headers["Retry-After"]) >= 1
    assert third.json()["error"]["code"] == "queue_full"
    first.close()
    second.close()
    small.wait_until_idle()
    assert HTTP.post(f"{small.url}/v1/completions", json=short).status_code == 200


def test_a_request_for_more_texts_than_fit_leaves_none_of_them(small):
    small.wait_until_idle()
    body = {**LONG, "n": 5}
    assert HTTP.post(f"{small.url}/v1/completions", json=body).status_code == 429
    small.wait_until_idle()


def test_a_text_that_takes_too_long_is_an_error_not_a_short_text(serve, plain_model):
    hurried = serve(plain_model, limits=Limits(generation_s=0.3, new_tokens=100_000))
    whole = HTTP.post(f"{hurried.url}/v1/completions", json=LONG)
    assert whole.status_code == 504
    assert "at most 0.3 s" in whole.json()["error"]["message"]
    streamed = HTTP.post(f"{hurried.url}/v1/completions", json={**LONG, "stream": True})
    assert streamed.status_code == 200
    last = streamed.text.strip().split("\n\n")
    assert json.loads(last[-2].removeprefix("data: "))["error"]["code"] == "timeout"
    hurried.wait_until_idle()


def test_many_clients_at_once_get_the_texts_that_they_would_get_alone(server):
    def make(seed):
        body = {**ASK, "max_tokens": 10, "seed": seed}
        return HTTP.post(f"{server.url}/v1/completions", json=body).json()["choices"][0]["text"]

    alone = {seed: make(seed) for seed in range(5)}
    found = {}
    threads = [
        threading.Thread(target=lambda seed=seed: found.update({seed: make(seed)}))
        for seed in alone
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone
