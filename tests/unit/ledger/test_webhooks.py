"""The parts of webhooks that need nobody: signatures, pauses, and which addresses are public."""

from datetime import timedelta

import pytest

from ledger_service.webhooks.sender import BACKOFF_SECONDS_MIN, backoff
from ledger_service.webhooks.signing import new_secret, signed_headers
from ledger_service.webhooks.targets import is_public, names_private_host


def test_a_signature_is_that_of_the_libraries_of_standard_webhooks() -> None:
    """The example that their tests share."""
    assert signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    ) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_no_two_secrets_are_the_same() -> None:
    assert len({new_secret() for _ in range(100)}) == 100


def test_pauses_double_up_to_a_bound_and_chance_shortens_them_by_half_at_most() -> None:
    longest = [backoff(n, seconds_max=100, chance=1.0) for n in range(1, 8)]
    assert [pause.total_seconds() for pause in longest] == [5, 10, 20, 40, 80, 100, 100]
    assert backoff(1, seconds_max=100, chance=0.0) == timedelta(seconds=BACKOFF_SECONDS_MIN / 2)
    assert backoff(10**6, seconds_max=3_600, chance=0.5) == timedelta(seconds=2_700)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104  # as a target, not to listen on
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fc00::1",
        "fe80::1",
        "fe80::1%2",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_other_addresses_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "is_private"),
    [
        ("http://localhost/", True),
        ("http://a.localhost:80/", True),
        ("http://127.0.0.1./", True),
        ("https://[::1]/", True),
        ("https://hooks.example/", False),
        ("https://notlocalhost/", False),
        ("https://93.184.215.14/", False),
        ("https://xn--bcher-kva.example/", False),
    ],
)
def test_a_url_that_names_a_private_host_is_known_without_a_look_up(
    url: str, is_private: bool
) -> None:
    assert names_private_host(url) is is_private
