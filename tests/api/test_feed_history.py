"""Each listener's history is whole and in order, whoever comes, goes or dies: a short piece of
tests/faults/test_feed.py."""

import time

from feed_history import Judge, Play, three_servers
from harness import STORE


def test_each_history_is_whole():
    with three_servers(STORE) as servers:
        play = Play(servers, STORE)
        play.start()
        time.sleep(1.5)
        play.kill_one()
        time.sleep(1.5)
        rows = play.finish()
        print(play.summary())
        Judge(play, rows).judge()
