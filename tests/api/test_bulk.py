"""Many records in one request: arrays, which are created as a whole or not at all."""

import concurrent.futures
import hashlib
import random

import hypothesis
import hypothesis.strategies as st

from harness import pointers, problem

DEFINITIONS = {
    "things": """
        access: {read: public, write: public}
        required: [name]
        properties:
          name:  {type: string, minLength: 1, maxLength: 50}
          number: {type: integer, minimum: 0, default: 1}
          most:  {type: integer}
          place: {type: object, properties: {zip: {type: string}}}
        checks: {not_too_many: most is null or number <= most}
        unique: [[name]]
        """,
    "places": """
        key: code
        access: {read: public, write: public}
        required: [code]
        properties:
          code: {type: string, minLength: 1, maxLength: 20}
          row:  {type: integer}
          seat: {type: integer}
        unique: [[row, seat]]
        """,
    "links": """
        access: {read: public, write: public}
        properties:
          thing: {type: integer, references: things, on_delete: restrict}
        """,
    "tokens": """
        key: {id: uuid}
        access: {read: public, write: key}
        properties:
          note: {type: string}
        """,
    "texts": """
        key: {digest: sha256(text)}
        access: {read: public, write: public}
        required: [text]
        properties:
          text: {type: string, maxLength: 1000}
          note: {type: string}
        """,
}


def names(public):
    return {thing["name"] for thing in public.list("/things", limit=1000)}


def test_all_are_created_in_order(public):
    sent = [{"name": f"in order {i}", "number": i} for i in random.sample(range(300), 300)]
    response = public.post("/things", sent)
    assert response.status_code == 201, response.text
    assert "Location" not in response.headers
    assert response.headers["Content-Type"] == "application/json"
    made = response.json()
    assert [(thing["name"], thing["number"]) for thing in made] == [
        (thing["name"], thing["number"]) for thing in sent]
    assert len({thing["id"] for thing in made}) == len(made)
    for thing in random.sample(made, 5):
        assert public.get(f"/things/{thing['id']}").json() == thing


def test_one_is_an_array_too(public):
    made = public.post("/things", [{"name": "alone"}]).json()
    assert [thing["name"] for thing in made] == ["alone"]


def test_the_largest_array(public):
    sent = [{"code": f"c{i}", "row": i} for i in range(1000)]
    random.shuffle(sent)
    response = public.post("/places", sent)
    assert response.status_code == 201, response.text
    assert [place["code"] for place in response.json()] == [place["code"] for place in sent]
    assert pointers(public.post("/places", sent + [{"code": "one more"}])) == [""]


def test_an_empty_array(public):
    assert pointers(public.post("/things", [])) == [""]


def test_made_keys(admin):
    made = admin.post("/tokens", [{"note": "a"}, {}, {"note": "c"}]).json()
    assert [token["note"] for token in made] == ["a", None, "c"]
    assert len({token["id"] for token in made}) == 3


def test_access_is_that_of_one(public):
    problem(public.post("/tokens", [{"note": "a"}]), 401, "key-required")


def test_every_fault_is_told_by_index(public):
    response = public.post("/things", [
        {"name": "fine"}, {"name": ""}, 7, {"name": "x", "number": -1, "mane": 1},
        {"name": "too many", "number": 3, "most": 2}, {}, {"name": "z", "place": {"zap": 1}}])
    assert sorted(pointers(response)) == [
        "/1/name", "/2", "/3/mane", "/3/number", "/4", "/5/name", "/6/place/zap"]
    assert not names(public) & {"fine", "x", "too many", "z"}


def test_a_hundred_faults_are_told_of_many(public):
    response = public.post("/things", [{"number": -1}] * 200)
    assert len(pointers(response)) == 100


def test_a_conflict_names_the_index_and_takes_all_along(public):
    public.create("/things", {"name": "taken"})
    value = problem(public.post("/things", [{"name": "free 1"}, {"name": "free 2"},
                                            {"name": "taken"}, {"name": "free 3"}]), 409, "conflict")
    assert [error["pointer"] for error in value["errors"]] == ["/2/name"]
    assert not names(public) & {"free 1", "free 2", "free 3"}


def test_a_conflict_within_the_array(public):
    value = problem(public.post("/things", [{"name": "twin"}, {"name": "b"}, {"name": "twin"}]),
                    409, "conflict")
    assert [error["pointer"] for error in value["errors"]] == ["/2/name"]
    assert not names(public) & {"twin", "b"}


def test_a_conflict_of_several_properties(public):
    public.create("/places", {"code": "old", "row": 5000, "seat": 1})
    value = problem(public.post("/places", [{"code": "z", "row": 5001, "seat": 1},
                                            {"code": "a", "row": 5000, "seat": 1}]), 409)
    assert [error["pointer"] for error in value["errors"]] == ["/1/row", "/1/seat"]
    value = problem(public.post("/places", [{"code": "z"}, {"code": "old"}, {"code": "a"}]), 409)
    assert [error["pointer"] for error in value["errors"]] == ["/1/code"]
    problem(public.get("/places/z"), 404)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def post_texts(public, texts):
    response = public.post("/texts", [{"text": text} for text in texts])
    assert response.json() == [
        {"digest": digest(text), "text": text, "note": None} for text in texts]
    return response.status_code


def test_content_that_is_there_already(public):
    assert post_texts(public, ["a", "b", "a"]) == 201
    assert post_texts(public, ["b", "a"]) == 200
    assert post_texts(public, ["c", "b", "c", "a"]) == 201
    assert post_texts(public, ["c", "c"]) == 200
    # What is stored is what counts, not what was sent.
    response = public.post("/texts", [{"text": "a", "note": "n"}, {"text": "d", "note": "n"}])
    assert response.status_code == 201
    assert [text["note"] for text in response.json()] == [None, "n"]


@hypothesis.given(texts=st.lists(st.text(alphabet="xyz", max_size=3), min_size=1, max_size=40))
@hypothesis.settings(max_examples=60)
def test_any_array_of_contents(public, texts):
    stored = [public.get(f"/texts/{digest(text)}").status_code == 200 for text in texts]
    assert post_texts(public, texts) == (200 if all(stored) else 201)


def test_arrays_of_the_same_contents_at_once(server):
    """In whatever order each has them, none is in the other's way."""
    def post(seed):
        texts = [f"shared {i // 10} {i}" for i in range(60)]
        chance = random.Random(seed)
        found = []
        for round_ in range(8):
            mine = [f"{round_} {text}" for text in texts]
            chance.shuffle(mine)
            found.append(post_texts(server.public, mine))
        return found

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(post, range(8)))
    assert {status for result in results for status in result} <= {200, 201}
    for round_ in zip(*results):
        assert 201 in round_


def test_a_body_is_an_object_or_an_array(public):
    for body in ("x", 1, None, True):
        assert pointers(public.post("/things", body)) == [""]


def test_a_missing_reference_names_the_index(public):
    public.create("/things", {"name": "target"})
    target = public.list("/things", name="target")[0]["id"]
    response = public.post("/links", [{"thing": target}, {"thing": None}, {"thing": 999_999},
                                      {"thing": target}])
    value = problem(response, 409, "reference-missing")
    assert [error["pointer"] for error in value["errors"]] == ["/2/thing"]
    assert public.list("/links") == []
