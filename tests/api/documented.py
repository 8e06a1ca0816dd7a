"""The examples of docs/*.md: reads them, runs them, and compares what the program says.

How an example is written (tests/api/test_docs_http.py runs all there are):

- A block ```http is a request and its answer, as they go over the wire; the answer begins with its
  status line. `Host` and `Content-Length` are added where they are left out. `KEY` is the
  administrator's key.
- Of the answer the status line and the fields that are shown must be as shown, and so must the
  body, if one is shown: JSON as values, with the members in any order, anything else as text.
- "…" in an answer is anything: a part of a field or a string, a value, members of an object (`{"id":
  1, …}`), elements of an array. In a request it is what the first "…" of the answer before it was.
- The examples of one section (down to the next "## ") run in their order against a fresh server
  with the three resources that it ships with, and with those that a block ```yaml of the section
  defines whose first line is "# resources/NAME.yaml".
- What readers need not see stands in a comment: "<!-- before" with a line "METHOD TARGET BODY" for
  each request that goes before the next example, as the administrator, and must succeed;
  "<!-- settings" with a line "NAME=VALUE" for each setting of the section's server.
"""

import json
import re
import typing

import harness

ROOT = harness.ROOT
ELLIPSIS = "…"
ANYTHING = "\u0000anything"

METHODS = "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS"


class Message(typing.NamedTuple):
    """A request or an answer: its first line, its fields in order, its body or None."""

    line: str
    fields: list
    body: str | None

    def field(self, name):
        for key, value in self.fields:
            if key.lower() == name.lower():
                return value
        return None


class Example(typing.NamedTuple):
    line: int  # in the document
    request: Message
    answers: list  # the last of which is not interim


class Before(typing.NamedTuple):
    line: int
    requests: list  # (method, target, body)


class Section(typing.NamedTuple):
    title: str
    steps: list  # Examples and Befores
    definitions: dict
    settings: dict


# Reading


def _message(lines):
    head, body = lines, None
    if "" in lines:
        blank = lines.index("")
        head = lines[:blank]
        body = "\n".join(lines[blank + 1:]).strip("\n") or None
    fields = [tuple(part.strip() for part in line.split(":", 1)) for line in head[1:]]
    return Message(head[0], fields, body)


def _example(number, text):
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if re.match(r"HTTP/1\.[01] [0-9]{3} ", line)]
    assert starts and starts[0] > 0, f"line {number}: a request and an answer are expected"
    ends = [*starts[1:], len(lines)]
    return Example(number, _message(lines[:starts[0]]),
                   [_message(lines[start:end]) for start, end in zip(starts, ends)])


def _before(number, text):
    requests = [(line.split(" ", 2) + [""])[:3] for line in text.strip().split("\n")]
    return Before(number, requests)


_PART = re.compile(r"^## (?P<title>[^\n]*)$"
                   r"|^```http\n(?P<http>.*?)\n```$"
                   r"|^```yaml\n# resources/(?P<name>[a-z0-9_]+)\.yaml\n(?P<yaml>.*?)\n```$"
                   r"|^<!-- before\n(?P<before>.*?)\n-->$"
                   r"|^<!-- settings\n(?P<settings>.*?)\n-->$", re.MULTILINE | re.DOTALL)


def sections(path):
    """Those of a document that have examples."""
    text = path.read_text("utf-8")
    found = [Section("", [], {}, {})]
    for part in _PART.finditer(text):
        number = text.count("\n", 0, part.start()) + 1
        if part["title"]:
            found.append(Section(part["title"], [], {}, {}))
        elif part["http"]:
            found[-1].steps.append(_example(number, part["http"]))
        elif part["name"]:
            found[-1].definitions[part["name"]] = part["yaml"] + "\n"
        elif part["before"]:
            found[-1].steps.append(_before(number, part["before"]))
        elif part["settings"]:
            found[-1].settings.update(line.split("=", 1) for line in part["settings"].split("\n"))
    return [section for section in found
            if any(isinstance(step, Example) for step in section.steps)]


# Comparing


def _match(shown, actual, captured):
    """Whether a text is as shown; adds what each "…" stood for."""
    pattern = "(.*)".join(re.escape(part) for part in shown.split(ELLIPSIS))
    match = re.fullmatch(pattern, actual, re.DOTALL)
    if match:
        captured.extend(match.groups())
    return bool(match)


def _tokens(text):
    return re.findall(r'"(?:[^"\\]|\\.)*"|' + ELLIPSIS + r'|[^"' + ELLIPSIS + r"]", text, re.DOTALL)


def _shown_json(text):
    """JSON in which a bare "…" is a member, an element or a value."""
    out = []
    open_ones = []
    for token in _tokens(text):
        if token in ("{", "["):
            open_ones.append(token)
        elif token in ("}", "]"):
            open_ones.pop()
        elif token == ELLIPSIS:
            last = "".join(out).rstrip()[-1:]
            is_member = open_ones and open_ones[-1] == "{" and last in ("{", ",")
            token = json.dumps(ANYTHING) + (": 0" if is_member else "")
        out.append(token)
    return json.loads("".join(out))


def _compare_elements(shown, actual, captured):
    if not shown:
        return not actual
    if shown[0] == ANYTHING:
        return any(_compare_elements(shown[1:], actual[i:], captured)
                   for i in range(len(actual) + 1))
    return bool(actual) and _compare(shown[0], actual[0], captured) and \
        _compare_elements(shown[1:], actual[1:], captured)


def _compare(shown, actual, captured):
    if shown == ANYTHING:
        return True
    if isinstance(shown, str) and isinstance(actual, str):
        return _match(shown, actual, captured)
    if isinstance(shown, dict) and isinstance(actual, dict):
        names = set(shown) - {ANYTHING}
        if names - set(actual) or (ANYTHING not in shown and set(actual) - names):
            return False
        return all(_compare(shown[name], actual[name], captured) for name in names)
    if isinstance(shown, list) and isinstance(actual, list):
        return _compare_elements(shown, actual, captured)
    return type(shown) is type(actual) and shown == actual


def is_json(content_type):
    return re.fullmatch(r"application/([a-z.-]+\+)?json", content_type or "") is not None


def _check_fields(shown, answer, captured):
    for name, value in shown.fields:
        values = [actual for key, actual in answer.fields if key.lower() == name.lower()]
        assert any(_match(value, actual, captured) for actual in values), \
            f"{name} is {values}, and not {value!r}"


def check(shown, answer):
    """Whether an answer (harness.Answered) is as shown; gives what the "…" in it were."""
    captured = []
    line = f"{answer.version} {answer.status} {answer.reason}"
    assert line == shown.line, f"{line}, and not {shown.line}\n{answer.body.decode()}"
    _check_fields(shown, answer, captured)
    body = answer.body.decode("utf-8")
    if shown.body is None:
        return captured
    if is_json(answer.field("Content-Type")):
        assert _compare(_shown_json(shown.body), json.loads(body), captured), body
    else:
        assert _match(shown.body.strip("\n"), body.strip("\n"), captured), body
    return captured


# Running


def _put_in(text, meant):
    text = re.sub(r"\bKEY\b", harness.ADMIN_KEY, text)
    if ELLIPSIS in text:
        assert meant is not None, 'no "…" came before that this one could mean'
        text = text.replace(ELLIPSIS, meant)
    return text


def _wire_form(request, meant):
    """The head and the body of a request, as they are sent."""
    body = _put_in(request.body, meant).encode("utf-8") if request.body else b""
    lines = [_put_in(request.line, meant)]
    if request.field("Host") is None and not request.line.endswith("/1.0"):
        lines.append("Host: localhost")
    lines += [f"{name}: {_put_in(value, meant)}" for name, value in request.fields]
    framed = request.field("Content-Length") or request.field("Transfer-Encoding")
    if body and not framed:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8"), body


def run(server, example, meant):
    """Sends a request and checks its answers; gives what "…" in the next request means."""
    head, body = _wire_form(example.request, meant)
    waits = example.request.field("Expect") is not None
    method = example.request.line.split(" ")[0]
    with server.wire() as wire:
        wire.send(head if waits else head + body)
        for shown in example.answers:
            answer = wire.receive(method)
            captured = check(shown, answer)
            if answer.status < 200:
                wire.send(body)
    return captured[0] if captured else meant


def prepare(server, before):
    for method, target, body in before.requests:
        fields = {"Content-Type": "application/json"} if body else {}
        response = server.admin.request(method, target, data=body.encode("utf-8"), headers=fields)
        assert response.ok, f"line {before.line}: {response.status_code} {response.text}"


def run_section(section):
    meant = None
    with harness.Server(section.definitions, defaults=True, settings=section.settings) as server:
        for step in section.steps:
            if isinstance(step, Before):
                prepare(server, step)
                continue
            try:
                meant = run(server, step, meant)
            except AssertionError as error:
                raise AssertionError(f"line {step.line}: {step.request.line}\n{error}") from error
