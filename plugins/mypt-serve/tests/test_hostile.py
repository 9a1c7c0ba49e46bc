"""Whatever is sent, the server goes on, answers in the form of errors, and tells nothing of itself.

`make serve` sends many more.
"""

import gc
import json
import random
import re
import socket
import threading
import time
from contextlib import ExitStack, suppress

import httpx
import pytest
from mypt_serve.settings import Limits

KINDS = {}
GOOD = {"model": "chatty", "prompt": "the cat", "max_tokens": 2}
CHAT = {"model": "chatty", "messages": [{"role": "user", "content": "the cat"}], "max_tokens": 2}
PATHS = ("/v1/completions", "/v1/chat/completions")
ODD = [None, True, -1, 0, 1e308, 2**70, "", "a", "\x00", "\ud800", "é" * 50, [], {}, [[]], [{}]]
ODD += [[None], {"a": None}, "x" * 5000, [1] * 500, 1.5, "NaN", "../../etc/passwd", "<script>"]


def kind(function):
    KINDS[function.__name__] = function
    return function


def request(body=b"", method="POST", path=PATHS[0], headers=(), host="localhost", length=True):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"Host: {host}"] * (host is not None)
    lines += ["Content-Type: application/json", "Connection: close"]
    lines += [f"Content-Length: {len(body)}"] * length
    head = "\r\n".join([*lines, *headers, "", ""])
    return head.encode("utf-8", "surrogatepass") + body


@kind
def wrong_types(rng):
    """Put odd values into a request that is otherwise good."""
    path = rng.choice(PATHS)
    body = dict(GOOD if path == PATHS[0] else CHAT)
    names = ["model", "prompt", "messages", "max_tokens", "temperature", "top_p", "n", "stop"]
    names += ["seed", "stream", "stream_options", "logprobs", "top_logprobs", "logit_bias"]
    names += ["response_format", "presence_penalty", "tools", "user", rng.choice("abc") * 9000]
    for name in rng.sample(names, rng.randint(1, 4)):
        body[name] = rng.choice(ODD)
    return request(body, path=path)


@kind
def odd_messages(rng):
    """Put odd values into the messages of a conversation."""
    message = {"role": rng.choice([*ODD, "user"]), "content": rng.choice(ODD)}
    if rng.random() < 0.5:
        part = {"type": rng.choice(["text", "image_url", None]), "text": rng.choice(ODD)}
        message = {"role": "user", "content": [part, rng.choice(ODD)]}
    return request({**CHAT, "messages": [message] * rng.randint(1, 50)}, path=PATHS[1])


@kind
def broken_json(rng):
    """Damage the text of a good request."""
    text = bytearray(json.dumps(GOOD).encode())
    for _ in range(rng.randint(1, 4)):
        text[rng.randrange(len(text))] = rng.randrange(256)
    return request(bytes(text[: rng.randint(0, len(text))]))


@kind
def deep_or_odd_json(rng):
    """Nest deeply, or write numbers and names that JSON does not know."""
    depth = rng.randint(500, 90_000)
    opened = rng.choice([b"[", b'{"a":'])
    odd = [b'{"temperature": NaN}', b'{"max_tokens": 1e999}', b'{"seed": ' + b"7" * 9000 + b"}"]
    odd += [b'{"model": 1, "model": 2}', b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"null", b"1"]
    return request(rng.choice([opened * depth, b"[" * depth + b"]" * depth, *odd]))


@kind
def huge(rng):
    """Send or announce more than is taken."""
    size = rng.choice([1_000_001, 3_000_000])
    announced = f"Content-Length: {rng.choice([10**9, 10**18, 10**30])}"
    made = [
        request({**GOOD, "prompt": "a" * size}),
        request(b"{}", headers=[announced], length=False),
    ]
    made += [request(GOOD, headers=[f"X-{n}: {'a' * 900}" for n in range(200)])]
    made += [
        request(GOOD, path="/" + "a" * 100_000),
        request(GOOD, headers=["X: " + "b" * 100_000]),
    ]
    return rng.choice(made)


@kind
def paths(rng):
    """Look for files."""
    part = rng.choice(
        ["../", "..%2f", "%2e%2e/", "..\\", "..%5c", "....//", "%252e%252e%252f", "//"]
    )
    end = rng.choice(["etc/passwd", "etc/passwd%00.html", "proc/self/environ", "config.json"])
    path = rng.choice(["/", "/v1/", "/v1/models/", "/card/"]) + part * rng.randint(1, 8) + end
    path = rng.choice([path, "http://localhost/card" + path, path + "?a=" + "b" * 500, "*", "/%"])
    return request(method=rng.choice(["GET", "HEAD", "POST", "OPTIONS"]), path=path)


@kind
def headers(rng):
    """Lie about where the request comes from, and about what it is."""
    odd = [
        "Host: evil.example",
        "Host: localhost",
        "X-Forwarded-Host: evil.example",
        "Origin: null",
    ]
    odd += ["Origin: http://evil.example", "Content-Type: text/html", "Transfer-Encoding: gzip"]
    odd += ["Upgrade: websocket\r\nConnection: Upgrade", "Expect: 100-continue", "Range: bytes=0-9"]
    odd += ["Authorization: Bearer " + "x" * 3000, "Authorization: \x01", "Cookie: \x00", ": empty"]
    odd += ["Content-Encoding: gzip", "Content-Length: -1", "Content-Length: 1e3", "Bad Name: 1"]
    odd += [" Folded: 1", "X: a\r\n folded", "X: \u00e9\u4e2d", "Content-Length: +5", "X:\n\nGET /"]
    host = rng.choice(["localhost", "localhost", "evil.example", "a@localhost", "[::1", "", None])
    return request(GOOD, headers=rng.sample(odd, rng.randint(1, 3)), host=host)


@kind
def smuggling(rng):
    """Say two different lengths, so that two servers in a row would cut differently."""
    inner = "GET /card HTTP/1.1\r\nHost: localhost\r\n\r\n"
    chunked = f"{rng.choice(['0', '5', 'ffffffffffffffff', '-1', 'zz'])}\r\n\r\n{inner}".encode()
    lengths = [["Content-Length: 4", "Transfer-Encoding: chunked"]]
    lengths += [["Transfer-Encoding: chunked", "Transfer-Encoding: identity"]]
    lengths += [["Transfer-Encoding: xchunked"], ["Transfer-Encoding : chunked"]]
    lengths += [["Content-Length: 4", "Content-Length: 40"], ["Content-Length: 4, 40"]]
    lengths += [["Transfer-Encoding: chunked"]]
    return request(chunked, headers=rng.choice(lengths), length=False)


@kind
def no_http(rng):
    """Say something else than HTTP."""
    noise = rng.randbytes(rng.randint(1, 3000))
    other = [
        noise,
        b"\r\n" * 500,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ]
    other += [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"G" * 70_000]
    other += [b"CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"TRACE / HTTP/1.1\r\n\r\n"]
    return rng.choice(other)


@kind
def cut_short(rng):
    """Leave in the middle of a good request."""
    whole = request(GOOD)
    return whole[: rng.randrange(len(whole))]


def make_hostile(count, seed):
    """Yield the kind and the bytes of so many requests; all kinds in turn."""
    rng = random.Random(seed)
    names = [*KINDS]
    for number in range(count):
        name = names[number % len(names)]
        yield name, KINDS[name](rng)


LEAKS = re.compile(rb"Traceback|File \"|/tmp|/root|/home|site-packages|mypt_serve|\.py\b|root:x:0")


@pytest.fixture(scope="module")
def target(serve, chat_model):
    return serve(chat_model, limits=Limits(headers_s=0.2, body_s=0.2, generation_s=5))


def send(server, message):
    """Send bytes and return all that is answered."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        with suppress(ConnectionError):  # it has refused already
            connection.sendall(message)
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


def check_answer(kind, answer):
    """Check that an answer is HTTP, is no failure of the server, and gives nothing away."""
    assert not LEAKS.search(answer), (kind, answer[:500])
    if not answer:
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(re.match(rb"HTTP/1\.1 (\d{3}) ", head)[1])
    assert status < 500, (kind, answer[:500])
    if status >= 400 and body:
        assert b'{"error": {"message": "' in body, (kind, answer[:500])


def check_alive(server):
    made = httpx.post(f"{server.url}/v1/completions", json=GOOD, timeout=30)
    assert made.status_code == 200, made.text
    server.wait_until_idle()


def attack(server, requests):
    """Send requests from four threads at once."""
    left, failed = iter([*requests]), []
    lock = threading.Lock()

    def work():
        while not failed:
            with lock:
                kind, message = next(left, (None, None))
            if kind is None:
                return
            try:
                check_answer(kind, send(server, message))
            except Exception as error:
                error.add_note(f"{kind}: {message[:1000]!r}")
                failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    check_alive(server)


def test_two_hundred_hostile_requests_do_no_harm(target, capfd):
    attack(target, make_hostile(200, seed=7))
    assert capfd.readouterr().err == ""  # no request has failed by an error of ours


def wait_until_served(server, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/v1/models").status_code == 200:
                return
        time.sleep(0.05)
    pytest.fail("nobody is served any more")


def test_a_hundred_connections_that_say_nothing_keep_nobody_out(target):
    connections = [
        socket.create_connection(("127.0.0.1", target.port), timeout=20) for _ in range(100)
    ]
    check_alive(target)
    for connection in connections:
        assert connection.recv(1) == b""
        connection.close()


def test_too_many_connections_are_refused_and_those_before_are_served(serve, plain_model, capfd):
    crowded = serve(plain_model, limits=Limits(connections=20, headers_s=2))
    with httpx.Client(base_url=crowded.url, timeout=30) as first, ExitStack() as stack:
        assert first.get("/v1/models").status_code == 200
        address = ("127.0.0.1", crowded.port)
        for _ in range(19):
            stack.enter_context(socket.create_connection(address, timeout=20))
        refused = httpx.get(f"{crowded.url}/v1/models")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "too_many_connections"
        for _ in range(200):  # of which most are closed
            stack.enter_context(socket.create_connection(address, timeout=20))
        assert first.get("/v1/models").status_code == 200
    wait_until_served(crowded)
    assert capfd.readouterr().err == ""


def test_one_that_does_not_read_its_answer_is_left_in_the_end(serve, plain_model):
    hurried = serve(plain_model, limits=Limits(generation_s=0.5, new_tokens=100_000))
    body = json.dumps({"model": "plain", "prompt": "the", "max_tokens": 9000, "stream": True})
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", hurried.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        hurried.wait_until_idle()
    made = httpx.post(
        f"{hurried.url}/v1/completions", json={"model": "plain", "prompt": "a", "max_tokens": 1}
    )
    assert made.status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_thousand_hostile_requests_of_each_seed_do_no_harm(target, seed, capfd):
    attack(target, make_hostile(1000, seed))
    assert capfd.readouterr().err == ""
    gc.collect()
