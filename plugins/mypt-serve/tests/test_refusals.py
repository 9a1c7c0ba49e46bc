"""What the API refuses: by name, in OpenAI's form, and nothing is ignored."""

import json
import threading

import httpx
import pytest

CHAT = {"model": "chatty", "messages": [{"role": "user", "content": "the cat"}]}
TEXT = {"model": "chatty", "prompt": "the cat"}
DEEP = {"a": 1}


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.url, timeout=10) as client:
        yield client


def assert_refused(response, status, param, part):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] in ("invalid_request_error", "not_found_error")
    assert error["param"] == param
    assert part in error["message"]


COMMON = [
    ({"model": "other"}, 404, "model", "'other' does not exist"),
    ({"model": None}, 400, "model", "Missing required parameter: 'model'"),
    ({"max_tokens": 0}, 400, "max_tokens", "must be from 1 to 256"),
    ({"max_tokens": 257}, 400, "max_tokens", "must be from 1 to 256"),
    ({"max_tokens": "8"}, 400, "max_tokens", "must be an integer"),
    ({"max_tokens": True}, 400, "max_tokens", "must be an integer"),
    ({"temperature": 2.5}, 400, "temperature", "must be from 0 to 2"),
    ({"temperature": "hot"}, 400, "temperature", "must be a number"),
    ({"top_p": -0.1}, 400, "top_p", "must be from 0 to 1"),
    ({"n": 17}, 400, "n", "must be from 1 to 16"),
    ({"stop": ["a"] * 17}, 400, "stop", "more than 16"),
    ({"stop": ""}, 400, "stop", "empty"),
    ({"stop": [1]}, 400, "stop", "must be a string"),
    ({"stop": "\ud800"}, 400, "stop", "surrogate"),
    ({"seed": 1.5}, 400, "seed", "must be an integer"),
    ({"seed": 2**63}, 400, "seed", "must be from"),
    ({"stream": 1}, 400, "stream", "must be true or false"),
    ({"stream_options": {}}, 400, "stream_options", "only allowed when 'stream'"),
    ({"stream": True, "stream_options": {"x": 1}}, 400, "stream_options.x", "Unrecognized"),
    ({"presence_penalty": 3}, 400, "presence_penalty", "must be from -2 to 2"),
    ({"logit_bias": [1]}, 400, "logit_bias", "must be an object"),
    ({"logit_bias": {"a": 1}}, 400, "logit_bias", "ids of tokens"),
    ({"logit_bias": {"1": 101}}, 400, "logit_bias.1", "must be from -100 to 100"),
    ({"logit_bias": {"05": 1}}, 400, "logit_bias", "ids of tokens"),
    ({"logit_bias": {"99999": 1}}, 400, "logit_bias", "99999 is no token of this vocabulary"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, 400, "max_completion_tokens", "another"),
    ({"response_format": {"type": "xml"}}, 400, "response_format", "must be of type"),
    ({"best_of": 3}, 400, "best_of", "is not supported"),
    ({"echo": True}, 400, "echo", "is not supported by this server; leave it out, or set"),
    ({"suffix": "end"}, 400, "suffix", "is not supported"),
    ({"tools": [{"type": "function"}]}, 400, "tools", "is not supported"),
    ({"tool_choice": "required"}, 400, "tool_choice", "is not supported"),
    ({"audio": {"voice": "a"}}, 400, "audio", "is not supported"),
    ({"reasoning_effort": "high"}, 400, "reasoning_effort", "is not supported"),
    ({"modalities": ["audio"]}, 400, "modalities", "is not supported"),
    ({"a_parameter_of_nobody": 1}, 400, "a_parameter_of_nobody", "Unrecognized request argument"),
]


@pytest.mark.parametrize(("given", "status", "param", "part"), COMMON, ids=repr)
def test_a_wrong_parameter_is_named_by_both(http, given, status, param, part):
    for path, body in (("/v1/completions", TEXT), ("/v1/chat/completions", CHAT)):
        content = json.dumps({**body, **given})
        headers = {"Content-Type": "application/json"}
        assert_refused(http.post(path, content=content, headers=headers), status, param, part)


@pytest.mark.parametrize(
    ("given", "param", "part"),
    [
        ({"prompt": None}, "prompt", "Missing"),
        ({"prompt": 5}, "prompt", "must be a string"),
        ({"prompt": []}, "prompt", "must be a string"),
        ({"prompt": [1, "a"]}, "prompt", "must be a string"),
        ({"prompt": [True]}, "prompt", "must be a string"),
        ({"prompt": [99999]}, "prompt", "holds the id 99999"),
        ({"prompt": ["a"] * 17}, "prompt", "more than 16 texts"),
        ({"prompt": "é"}, "prompt", "cannot be encoded"),
        (
            {"prompt": "a" * 257},
            "prompt",
            "context is 256 tokens; shorten your prompt of 257",
        ),
        ({"logprobs": 21}, "logprobs", "must be from 0 to 20"),
        ({"logprobs": True}, "logprobs", "must be an integer"),
        ({"top_logprobs": 2}, "top_logprobs", "Unrecognized"),
        ({"messages": []}, "messages", "Unrecognized"),
    ],
)
def test_what_a_completion_refuses(http, given, param, part):
    response = http.post("/v1/completions", json={**TEXT, **given})
    assert_refused(response, 400, param, part)


@pytest.mark.parametrize(
    ("messages", "param", "part"),
    [
        (None, "messages", "Missing"),
        ("hello", "messages", "must be an array"),
        ([], "messages", "at least one message"),
        ([{"role": "assistant", "content": "a"}], "messages", "must not end with"),
        (["hello"], "messages[0]", "must be an object"),
        ([{"content": "a"}], "messages[0].role", "Missing"),
        ([{"role": "tool", "content": "a"}], "messages[0].role", "must be one of"),
        ([{"role": "user"}], "messages[0].content", "Missing"),
        ([{"role": "user", "content": 5}], "messages[0].content", "must be a string"),
        ([{"role": "user", "content": "a", "name": "me"}], "messages[0].name", "Unrecognized"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
            "messages[0].content[0]",
            "must be a part of type text",
        ),
        ([{"role": "user", "content": "é"}], "messages", "cannot be encoded"),
        ([{"role": "user", "content": "a" * 300}], "messages", "context is 256 tokens"),
        ([{"role": "user", "content": "a"}] * 9000, "messages", "context is 256 tokens"),
    ],
)
def test_what_a_conversation_refuses(http, messages, param, part):
    response = http.post("/v1/chat/completions", json={**CHAT, "messages": messages})
    assert_refused(response, 400, param, part)


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"logprobs": 2}, "must be true or false"),
        ({"top_logprobs": 2}, "only allowed when 'logprobs' is true"),
        ({"logprobs": True, "top_logprobs": 21}, "must be from 0 to 20"),
        ({"prompt": "a"}, "Unrecognized"),
    ],
)
def test_what_else_a_conversation_refuses(http, given, part):
    response = http.post("/v1/chat/completions", json={**CHAT, **given})
    assert_refused(response, 400, [*given][-1] if len(given) > 1 else next(iter(given)), part)


def test_values_that_ask_for_nothing_are_fine(http):
    neutral = {"tools": [], "tool_choice": "none", "store": False, "service_tier": "auto"}
    neutral |= {"modalities": ["text"], "response_format": {"type": "text"}, "user": "me"}
    neutral |= {"parallel_tool_calls": True, "stop": None, "audio": None, "max_tokens": 1}
    assert http.post("/v1/chat/completions", json={**CHAT, **neutral}).status_code == 200


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"temperature": NaN}', "NaN is no number of JSON"),
        (b'{"temperature": -Infinity}', "-Infinity is no number"),
        (b'{"model": "a", "model": "b"}', "has a name twice"),
        (b'{"seed": ' + b"1" * 5000 + b"}", "JSON: a number has 5000 digits."),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "body",
)
def test_what_is_no_json_object_is_refused(http, body, part):
    headers = {"Content-Type": "application/json"}
    response = http.post("/v1/completions", content=body, headers=headers)
    assert_refused(response, 400, None, part)


def test_a_form_or_a_plain_text_is_refused_as_another_page_may_send_one(http):
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        response = http.post("/v1/completions", content=b"{}", headers={"Content-Type": kind})
        assert response.status_code == 415
        assert "Content-Type: application/json" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/models/", 404),
        ("GET", "/v1/models/../../etc/passwd", 404),
        ("GET", "/v1/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/", 405),
    ],
)
def test_a_path_or_method_that_is_not_there_is_an_error_of_the_api(http, method, path, status):
    response = http.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["message"]


def ask_for_schema(schema):
    described = {"name": "a", "schema": schema}
    return {**TEXT, "response_format": {"type": "json_schema", "json_schema": described}}


PLACE = "response_format.json_schema"


@pytest.mark.parametrize(
    ("schema", "param", "part"),
    [
        (None, f"{PLACE}.schema", "Missing"),
        ([], f"{PLACE}.schema", "must be an object"),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, "response_format", "incompatible"),
        ({"type": "string", "pattern": "(("}, "response_format", "unclosed group"),
        ({"$ref": "file:///etc/passwd"}, "response_format", "does not fetch"),
        ({"x-guidance": [1]}, "response_format", "x-guidance that is no object"),
        ({"const": "Z"}, "response_format", "a character that this vocabulary lacks"),
    ],
    ids=repr,
)
def test_a_schema_that_cannot_be_met_is_refused(http, schema, param, part):
    response = http.post("/v1/completions", json=ask_for_schema(schema))
    assert_refused(response, 400, param, part)


def test_a_schema_that_takes_too_long_to_compile_is_refused_and_holds_nobody_up(http, server):
    patterns = [f"^.*a.{{{count}}}b.*$" for count in range(1, 60)]  # 2 ** 60 states
    bomb = {"allOf": [{"type": "string", "pattern": pattern} for pattern in patterns]}
    refused = []

    def ask():
        refused.append(
            httpx.post(f"{server.url}/v1/completions", json=ask_for_schema(bomb), timeout=60)
        )

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    assert http.post("/v1/completions", json={**TEXT, "max_tokens": 1}).status_code == 200
    assert not refused
    for thread in asking:
        thread.join()
    for response in refused:
        assert_refused(response, 400, "response_format", "too complex to follow")
