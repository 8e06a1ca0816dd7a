"""Which database keeps the records cannot be told from the answers: two servers with the same
definitions, one on SQLite and one on PostgreSQL, are asked the same and answer the same."""

import json
import re

import hypothesis
import hypothesis.strategies as st
import pytest

import test_filters
import test_nonsense
from conftest import HUNT
from harness import STORE, Server, links, relative

# It needs both databases, so that once is enough: where there is a PostgreSQL.
pytestmark = pytest.mark.skipif(STORE != "postgres", reason="it runs once, with STORE=postgres")

DEFINITIONS = {
    **test_filters.DEFINITIONS,
    "odd": test_nonsense.DEFINITIONS["things"],
    "words": """
access: {read: public, write: public}
key: code
properties:
  code: {type: string, minLength: 1, maxLength: 300}
  a:    {type: string}
""",
    "digests": """
access: {read: public, write: public}
key: {digest: sha256(a)}
required: [a]
properties:
  a: {type: string, maxLength: 100000}
  b: {type: integer}
""",
    "unique": """
access: {read: public, write: public}
key: {uid: uuid}
properties:
  name:  {type: string, maxLength: 660}
  whole: {type: integer}
  real:  {type: number}
  price: {type: string, format: decimal, scale: 2}
  text:  {type: string}
  until: {type: string, format: date-time}
  day:   {type: string, format: date}
  twin:  {type: string, format: uuid}
  flag:  {type: boolean}
  list:  {type: array, items: {type: [string, number, "null"]}}
  bag:   {type: object}
unique: [[name], [whole, real], [price, flag], [until], [day, twin]]
""",
}

FIELDS = ("Content-Type", "Allow", "X-Total-Count")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
CURSOR = re.compile(r"cursor=[^&]*")


class Pair:
    """The two servers. What each of them made up for itself (keys, cursors) has the same name in
    what is compared."""

    def __init__(self, servers):
        self.clients = [server.client() for server in servers]
        self.names = [{}, {}]

    def ask(self, method, paths, **arguments):
        """Asks both, and gives both answers once they are the same; `paths` is one path, or two."""
        paths = [paths, paths] if isinstance(paths, str) else paths
        answers = [client.request(method, path, **arguments)
                   for client, path in zip(self.clients, paths)]
        if method == "POST" and all(answer.status_code == 201 for answer in answers):
            self._name(answers)
        seen = [self._seen(answer, names) for answer, names in zip(answers, self.names)]
        assert seen[0] == seen[1], f"{method} {paths[0]} {arguments}"
        return answers

    def send(self, method, paths, value):
        """The same with a body of JSON."""
        body = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return self.ask(method, paths, data=body, headers={"Content-Type": "application/json"})

    def create(self, collection, value):
        """Creates a record on both; gives its paths, or None if neither liked it."""
        answers = self.send("POST", collection, value)
        if answers[0].status_code != 201:
            return None
        return [relative(answer.headers["Location"]) for answer in answers]

    def walk(self, path, parameters):
        """Follows a list to its end and back again; gives how many pages there were."""
        answers, pages = self.ask("GET", path, params=parameters), 1
        for relation in ("next", "prev"):
            while relation in links(answers[0]):
                answers = self.ask("GET", [relative(links(answer)[relation]) for answer in answers])
                pages += 1
        return pages

    def delete(self, records):
        for paths in records:
            self.ask("DELETE", paths)

    def _name(self, answers):
        for answer, names in zip(answers, self.names):
            key = relative(answer.headers["Location"]).rpartition("/")[2]
            if UUID.fullmatch(key):
                names[key] = f"key {len(names)}"

    def _seen(self, answer, names):
        def named(text):
            return UUID.sub(lambda found: names.get(found[0], found[0]), text)
        body = answer.text
        if answer.status_code >= 400 and body:
            value = json.loads(body)
            del value["request_id"]
            body = json.dumps(value)
        return {
            "status": answer.status_code,
            "body": named(body),
            "Location": named(relative(answer.headers.get("Location", ""))),
            "Link": {relation: CURSOR.sub("cursor", named(relative(target)))
                     for relation, target in links(answer).items()},
            **{name: answer.headers.get(name) for name in FIELDS},
        }


@pytest.fixture(scope="module", name="pair")
def a_pair():
    with Server(DEFINITIONS, store_name="sqlite") as first, \
            Server(DEFINITIONS, store_name="postgres") as second:
        yield Pair([first, second])


def examples(count):
    return hypothesis.settings(max_examples=count * max(HUNT, 1))


SORT = st.lists(
    st.tuples(st.sampled_from(["", "-"]),
              st.sampled_from([*sorted(test_filters.PROPERTIES), "id", "place.city"])),
    min_size=1, max_size=4).map(lambda keys: ",".join("".join(key) for key in keys))
LIST = st.fixed_dictionaries({"filter": test_filters.FILTER.map(lambda drawn: drawn[0])} , optional={
    "sort": SORT, "limit": st.integers(1, 5), "offset": st.integers(0, 9),
    "count": st.sampled_from(["true", "false"]),
    "fields": st.sampled_from(["id", "id,place", "text,label", "price,real,instant,nope"])})


@hypothesis.given(records=test_filters.RECORDS, lists=st.lists(LIST, min_size=1, max_size=4),
                  sort=SORT)
@examples(30)
def test_lists(pair, records, lists, sort):
    made = [pair.create("/things", test_filters.as_json(record)) for record in records]
    for parameters in [*lists, {"sort": sort, "limit": 2, "count": "true"}]:
        pair.walk("/things", parameters)
    pair.delete(made)
