from __future__ import annotations

import pytest

from synth.errors import ConfigError
from synth.serving.keys import KeyFile
from synth.serving.rates import RateError, Rates
from synth.serving.settings import load_settings


def test_over_the_rate_is_429_with_retry_after_and_others_are_not_affected(pets, store, serve):
    keys = KeyFile(store.root / "keys.json")
    slow, fast = keys.create("slow", rate="2/minute")[1], keys.create("fast")[1]
    client = serve()
    answers = [client.get("/v1/models", headers={"X-API-Key": slow}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"requests";q=2;w=60'
    assert answers[0].headers["RateLimit"].startswith('"requests";r=1;t=')
    assert answers[2].json()["code"] == "rate-exceeded"
    assert answers[2].headers["RateLimit"].startswith('"requests";r=0;t=')
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
    assert client.get("/v1/models", headers={"X-API-Key": fast}).status_code == 200
    assert client.get("/livez").status_code == 200


def test_images_over_the_quota_are_refused_and_not_counted():
    rates, scope = Rates(rate=None, quota=10), {"type": "http", "state": {}}
    rates.take_images(scope, 6)
    with pytest.raises(RateError, match="10 images in a day, 4 are left, and 5") as caught:
        rates.take_images(scope, 5)
    assert caught.value.status == 429
    rates.take_images(scope, 4)


def test_a_rate_that_is_none_keeps_the_server_from_starting():
    with pytest.raises(ConfigError, match=r"--rate is 'often'.*100/minute"):
        load_settings(rate="often")
