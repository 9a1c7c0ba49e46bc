
"use strict";
const $ = (id) => document.getElementById(id);
const needsToken = document.documentElement.dataset.token === "yes";
let token = sessionStorage.getItem("mypt-token") || "";
let card = null;
let messages = [];
let prompt = null;
let stopper = null;

function headers() {
  const said = { "Content-Type": "application/json" };
  if (token) said.Authorization = "Bearer " + token;
  return said;
}

function show(problem) {
  $("problem").textContent = problem || "";
  $("problem").hidden = !problem;
}

async function explain(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return "The server answered with status " + response.status + ".";
  }
}

async function begin() {
  $("access").hidden = !needsToken;
  if (needsToken && !token) {
    $("side").classList.add("open");
    show("This server needs a token.");
    return;
  }
  const response = await fetch("/card", { headers: headers() });
  if (!response.ok) {
    show(await explain(response));
    return;
  }
  show("");
  card = await response.json();
  document.title = card.model + " - mypt";
  $("name").textContent = card.model;
  $("max_tokens").max = card.most_tokens;
  $("max_tokens").placeholder = "at most " + card.most_tokens;
  $("facts").replaceChildren();
  for (const [name, value] of Object.entries(card.facts)) {
    const term = document.createElement("dt");
    const fact = document.createElement("dd");
    term.textContent = name.replaceAll("_", " ");
    fact.textContent = value;
    $("facts").append(term, fact);
  }
  if (card.plot && !$("plot").querySelector("svg")) {
    const drawn = new DOMParser().parseFromString(card.plot.svg, "image/svg+xml").documentElement;
    if (drawn.localName === "svg") {
      $("plot").prepend(document.importNode(drawn, true));
      for (const { label, colour } of card.plot.legend) {
        const entry = document.createElement("span");
        entry.className = "entry t" + (colour % 4);
        entry.textContent = label;
        $("plot").append(entry);
      }
      $("plot").hidden = false;
    }
  }
  if (!card.chat) {
    $("why").textContent = "This model continues texts and cannot chat: " + card.why;
    $("why").hidden = false;
    $("system-label").hidden = true;
    $("question").placeholder = "A text to continue";
    $("question").setAttribute("aria-label", "Text to continue");
    $("send").textContent = "Continue";
    $("new").textContent = "New text";
  }
}

function add(kind, text) {
  const turn = document.createElement("div");
  turn.className = "turn " + kind;
  turn.textContent = text;
  $("said").append(turn);
  $("said").scrollTop = $("said").scrollHeight;
  return turn;
}

function settings() {
  const body = { model: card.model, stream: true, stream_options: { include_usage: true } };
  for (const name of ["temperature", "top_p", "max_tokens", "seed"]) {
    if ($(name).value !== "") body[name] = Number($(name).value);
  }
  return body;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("The answer was cut short.");
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

function busy(is) {
  $("send").disabled = is;
  $("stop").hidden = !is;
  $("again").hidden = is || !$("said").childElementCount;
}

async function stream(path, body, turn) {
  stopper = new AbortController();
  busy(true);
  show("");
  $("status").textContent = "";
  turn.classList.add("busy");
  const begun = performance.now();
  try {
    const response = await fetch(path, {
      method: "POST", headers: headers(), body: JSON.stringify(body), signal: stopper.signal,
    });
    if (!response.ok) throw new Error(await explain(response));
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      const choice = event.choices[0];
      if (choice) turn.append(choice.delta ? choice.delta.content || "" : choice.text);
      if (event.usage) {
        const seconds = (performance.now() - begun) / 1000;
        const count = event.usage.completion_tokens;
        $("status").textContent = count + " tokens, " + (count / seconds).toFixed(0) + " per second";
      }
      const said = $("said");
      if (said.scrollHeight - said.scrollTop - said.clientHeight < 120) said.scrollTop = said.scrollHeight;
    }
    return true;
  } catch (error) {
    if (error.name !== "AbortError") {
      show(error.message);
      return false;
    }
    $("status").textContent = "stopped";
    return true;
  } finally {
    turn.classList.remove("busy");
    stopper = null;
    busy(false);
  }
}

async function answer() {
  const turn = add("assistant", "");
  const system = $("system").value.trim();
  const said = system ? [{ role: "system", content: system }, ...messages] : messages;
  const body = { ...settings(), messages: said };
  if (await stream("/v1/chat/completions", body, turn)) {
    messages.push({ role: "assistant", content: turn.textContent });
  } else {
    turn.remove();
  }
}

async function proceed() {
  $("said").replaceChildren();
  add("prompt", prompt);
  await stream("/v1/completions", { max_tokens: Math.min(128, card.most_tokens), ...settings(), prompt },
    add("continuation", ""));
}

async function send() {
  const text = $("question").value;
  if (!card || stopper || !text.trim()) return;
  if (!card.chat) {
    prompt = text;
    await proceed();
    return;
  }
  $("question").value = "";
  messages.push({ role: "user", content: text });
  add("user", text);
  await answer();
}

async function regenerate() {
  if (!card || stopper) return;
  if (!card.chat) {
    if (prompt !== null) await proceed();
    return;
  }
  if (messages.length && messages[messages.length - 1].role === "assistant") {
    messages.pop();
    $("said").lastElementChild.remove();
  }
  if (messages.length) await answer();
}

function clear() {
  if (stopper) stopper.abort();
  messages = [];
  prompt = null;
  $("said").replaceChildren();
  $("status").textContent = "";
  show("");
  busy(false);
  $("question").focus();
}

$("ask").addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && card && card.chat) {
    event.preventDefault();
    send();
  }
});
$("stop").addEventListener("click", () => stopper && stopper.abort());
$("again").addEventListener("click", regenerate);
$("new").addEventListener("click", clear);
$("toggle").addEventListener("click", () => {
  $("toggle").setAttribute("aria-expanded", $("side").classList.toggle("open"));
});
$("enter").addEventListener("click", () => {
  token = $("token").value.trim();
  sessionStorage.setItem("mypt-token", token);
  $("side").classList.remove("open");
  begin();
});
begin().catch((error) => show(error.message));
