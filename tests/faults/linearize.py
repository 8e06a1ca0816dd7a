"""Whether a history of requests that overlapped is one that somebody who answers one after the other
could have given.

Each operation took effect at one moment between its request and its answer. The search tries the
orders that the times allow and remembers where it has been (Wing and Gong, 1993; Lowe, 2017). What
cannot change anything, whenever it happens, is put as early as it fits, which spoils no order.
"""

import collections

# `looks`: by its answer it has changed nothing.
Operation = collections.namedtuple("Operation", "started ended request answer looks")

IMPOSSIBLE = object()  # what a model's step gives where the answer does not fit the state

# All operations before `first` are done, and of the later ones those in `others`.
Place = collections.namedtuple("Place", "first others")


def explain(history, initial, step):
    """None where the history is possible; else how far it is, and what could not follow.
    `step(state, request, answer)` gives the next state, which must be hashable."""
    operations = sorted(history, key=lambda operation: operation.started)

    def after(state, index):
        return step(state, operations[index].request, operations[index].answer)

    start = _settle(operations, after, initial, Place(0, frozenset()))
    waiting, seen, furthest = [start], {start}, start
    while waiting:
        state, place = waiting.pop()
        if place.first == len(operations):
            return None
        furthest = max(furthest, (state, place), key=lambda each: each[1].first)
        for index in reversed(list(_candidates(operations, place))):
            following = after(state, index)
            if following is IMPOSSIBLE:
                continue
            reached = _settle(operations, after, following, _advance(place, index))
            if reached not in seen:
                seen.add(reached)
                waiting.append(reached)
    return _report(operations, *furthest)


def _candidates(operations, place):
    """Which operation may be the next: those that nobody else who is left precedes."""
    earliest_end = float("inf")
    for index in range(place.first, len(operations)):
        operation = operations[index]
        if operation.started > earliest_end:
            return
        if index not in place.others:
            yield index
            earliest_end = min(earliest_end, operation.ended)


def _advance(place, index):
    first, others = place.first, place.others | {index}
    while first in others:
        others -= {first}
        first += 1
    return Place(first, others)


def _settle(operations, after, state, place):
    """Takes all that only looks, may be next and fits."""
    moved = True
    while moved:
        moved = False
        for index in list(_candidates(operations, place)):
            if operations[index].looks and after(state, index) is not IMPOSSIBLE:
                place = _advance(place, index)
                moved = True
    return state, place


def _report(operations, state, place):
    lines = [f"{place.first} of {len(operations)} operations fit; then, with {state}, none of these:"]
    lines += [f"    {operations[index].request} -> {operations[index].answer}"
              for index in _candidates(operations, place)]
    return "\n".join(lines)
