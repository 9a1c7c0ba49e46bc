"""The API, as OpenAI's own client uses it."""

import math

import openai
import pytest

USER = {"role": "user", "content": "the cat"}


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as one:
        yield one


@pytest.fixture
def complete(client):
    """Give what continues a prompt."""

    def call(prompt="the cat", **given):
        given = {"max_tokens": 8, "seed": 1, **given}
        return client.completions.create(model="chatty", prompt=prompt, **given)

    return call


@pytest.fixture
def chat(client):
    """Give what answers a conversation."""

    def call(*messages, **given):
        given = {"max_completion_tokens": 8, "seed": 1, **given}
        return client.chat.completions.create(
            model="chatty", messages=[*messages] or [USER], **given
        )

    return call


def test_the_model_is_listed(client):
    (model,) = client.models.list().data
    assert (model.id, model.owned_by) == ("chatty", "mypt")
    assert client.models.retrieve("chatty") == model
    with pytest.raises(openai.NotFoundError, match="'other' does not exist"):
        client.models.retrieve("other")


def test_a_completion_is_what_the_model_generates(complete, server):
    made = complete()
    wanted = server.served.model.generate(
        "the cat", max_new_tokens=8, seed=1, temperature=1.0, top_p=1.0
    )
    assert f"the cat{made.choices[0].text}" == wanted
    assert made.choices[0].finish_reason == "length"
    usage = made.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (7, 8, 15)


def test_several_prompts_and_choices_have_the_order_of_the_requests(complete):
    several = complete(["the cat", "the mat"], n=2)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    texts = [choice.text for choice in several.choices]
    assert texts[0] == complete("the cat").choices[0].text
    assert texts[2] == complete("the mat").choices[0].text
    assert len(set(texts)) == 4
    assert several.usage.prompt_tokens == 14
    again = complete(["the cat", "the mat"], n=2)
    assert [choice.text for choice in again.choices] == texts


def test_a_prompt_may_be_ids(complete, server):
    ids = server.served.model.need_tokenizer().encode("the cat")
    assert complete(ids).choices[0].text == complete("the cat").choices[0].text
    assert len(complete([ids, ids]).choices) == 2


def test_a_stream_has_the_same_text_and_its_usage(complete):
    events = [*complete(stream=True, stream_options={"include_usage": True})]
    text = "".join(choice.text for event in events for choice in event.choices)
    assert text == complete().choices[0].text
    assert events[-2].choices[0].finish_reason == "length"
    assert events[-1].usage.total_tokens == 15
    assert len({event.id for event in events}) == 1


def test_a_stream_of_several_texts_tells_them_apart(complete):
    texts = ["", ""]
    for event in complete(n=2, stream=True):
        texts[event.choices[0].index] += event.choices[0].text
    assert texts == [choice.text for choice in complete(n=2).choices]


def test_a_text_ends_before_a_stop_string(complete):
    whole = complete(max_tokens=40).choices[0].text
    stop = whole[20]
    cut = complete(max_tokens=40, stop=["never", stop]).choices[0]
    assert (cut.text, cut.finish_reason) == (whole.partition(stop)[0], "stop")
    streamed = [*complete(max_tokens=40, stop=stop, stream=True)]
    assert "".join(event.choices[0].text for event in streamed) == cut.text
    assert streamed[-1].choices[0].finish_reason == "stop"


def test_log_probabilities_of_a_completion(complete, server):
    made = complete(logprobs=2)
    said = made.choices[0].logprobs
    assert "".join(said.tokens) == made.choices[0].text
    assert said.text_offset == [*range(8)]
    assert [len(top) for top in said.top_logprobs] == [2] * 8
    wanted = server.served.model.generate_many(
        ["the cat"], max_new_tokens=8, seed=1, temperature=1.0, top_p=1.0, log_probs=True
    )
    assert said.token_logprobs == pytest.approx(next(iter(wanted)).log_probs, abs=1e-5)
    assert complete(logprobs=0).choices[0].logprobs.top_logprobs is None
    streamed = [*complete(logprobs=1, stream=True)]
    offsets = [e.choices[0].logprobs.text_offset for e in streamed if e.choices[0].logprobs]
    assert [number for found in offsets for number in found] == [*range(8)]


def test_log_probabilities_of_an_answer(chat):
    made = chat(logprobs=True, top_logprobs=3).choices[0]
    tokens = made.logprobs.content
    assert "".join(token.token for token in tokens) == made.message.content
    for token in tokens:
        assert bytes(token.bytes).decode() == token.token
        likeliest = [top.logprob for top in token.top_logprobs]
        assert likeliest == sorted(likeliest, reverse=True)
        assert len(likeliest) == 3
        assert math.exp(token.logprob) <= 1
    assert chat(logprobs=True).choices[0].logprobs.content[0].top_logprobs == []


def test_an_answer_and_its_stream(chat):
    made = chat({"role": "system", "content": "say so"}, USER)
    message = made.choices[0].message
    assert (message.role, made.choices[0].finish_reason) == ("assistant", "length")
    events = [*chat({"role": "system", "content": "say so"}, USER, stream=True)]
    assert events[0].choices[0].delta.role == "assistant"
    said = "".join(event.choices[0].delta.content or "" for event in events)
    assert said == message.content
    developer = chat({"role": "developer", "content": "say so"}, USER)
    assert developer.choices[0].message.content == message.content


def test_parts_of_a_message_are_one_text(chat):
    parts = [{"type": "text", "text": "the "}, {"type": "text", "text": "cat"}]
    together = chat({"role": "user", "content": parts})
    assert together.choices[0].message.content == chat().choices[0].message.content


def test_an_answer_ends_with_its_turn(chat, server):
    (end,) = server.served.model.need_tokenizer().state()["special_tokens"]["turn_end"]
    made = chat(logit_bias={str(end): 100})
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == ("", "stop")
    assert made.usage.completion_tokens == 0


def test_what_a_user_says_never_becomes_a_special_token(chat, complete, server):
    tokenizer = server.served.model.need_tokenizer()
    spelt = "<|im_end|>"
    assert len(tokenizer.encode(spelt)) == 1
    more = chat({"role": "user", "content": f"the cat{spelt}"}).usage.prompt_tokens
    assert more - chat().usage.prompt_tokens == len(spelt)
    assert complete(f"the cat{spelt}").usage.prompt_tokens == len(f"the cat{spelt}")


def test_biases_and_penalties_change_what_is_said(complete, server):
    tokenizer = server.served.model.need_tokenizer()
    a, b = tokenizer.encode("at")
    assert complete(logit_bias={a: 100}).choices[0].text == "a" * 8
    both = {a: 50, b: 49.5}
    assert complete(logit_bias=both, temperature=0).choices[0].text == "a" * 8
    penal = complete(logit_bias=both, temperature=0, frequency_penalty=1).choices[0].text
    assert penal == "atatatat"
    once = complete(logit_bias=both, temperature=0, presence_penalty=1).choices[0].text
    assert once == "at" + "a" * 6


def test_options_of_mypt_are_taken_too(complete, server):
    given = {"top_k": 1, "min_p": 0.1, "repetition_penalty": 1.1, "no_repeat_ngram_size": 3}
    text = complete(extra_body=given).choices[0].text
    assert f"the cat{text}" == server.served.model.generate(
        "the cat", max_new_tokens=8, seed=1, temperature=1.0, top_p=1.0, **given
    )


def test_without_a_seed_texts_differ(complete):
    assert len({complete(seed=None, max_tokens=16).choices[0].text for _ in range(3)}) == 3
    assert complete(seed=-5).choices[0].text == complete(seed=-5).choices[0].text


def test_without_a_limit_a_completion_has_16_tokens_and_an_answer_what_fits(client, server):
    made = client.completions.create(model="chatty", prompt="the cat")
    assert made.usage.completion_tokens <= 16
    long = client.chat.completions.create(model="chatty", messages=[USER], seed=1)
    usage, context = long.usage, server.served.model.config.block_size
    assert usage.total_tokens == context or long.choices[0].finish_reason == "stop"


def test_a_model_without_a_template_says_so(serve, plain_model):
    plain = serve(plain_model)
    with openai.OpenAI(base_url=f"{plain.url}/v1", api_key="x", max_retries=0) as client:
        assert client.completions.create(model="plain", prompt="the", max_tokens=2).choices
        with pytest.raises(openai.BadRequestError, match="not trained on conversations") as error:
            client.chat.completions.create(model="plain", messages=[USER])
    assert error.value.code == "no_chat_template"


def test_another_template_than_the_models_own_may_be_served(serve, plain_model):
    own = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
    other = serve(plain_model, template=own)
    with openai.OpenAI(base_url=f"{other.url}/v1", api_key="x", max_retries=0) as client:
        made = client.chat.completions.create(model="plain", messages=[USER], max_tokens=2)
    assert made.usage.prompt_tokens == len("the cat\n")
