"""A network's picks reach the store, each once, whatever breaks on the way."""

import json
import time
import urllib.request
from dataclasses import replace

import pytest

from collect.store import Store
from edge.pick import NS
from tests.collect.conftest import PICK, picks_of, publisher, topic_of, wait_for

ALL = (0, 2**62)


def url(broker):
    return f"mqtt://127.0.0.1:{broker.port}"


@pytest.fixture
def opened(store_url):
    store = Store(store_url)
    yield store
    store.close()


def test_every_pick_is_stored_once_with_all_it_says(broker, collecting, store_url, opened):
    collector = collecting(url(broker), "--store", store_url)
    collector.wait_until_connected()
    sent = [*picks_of(40), *picks_of(30, "XX.OTHER.")]
    with publisher(broker.port) as station:
        station.send_picks(sent)
        station.send_picks(sent[:20])
        wait_for(lambda: len(opened.picks(*ALL)) == 70)
    assert sorted(opened.picks(*ALL), key=lambda one: (one.station, one.id)) == sorted(
        sent, key=lambda one: (one.station, one.id)
    )
    assert "90 picks: 70 stored, 20 duplicates; 0 messages refused" in collector.stop()
