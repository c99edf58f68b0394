"""What Ozone tells an account about its own role."""

import pytest

from tests.contract.network import Answer, Network, Role


def config(network: Network, by: Role) -> Answer:
    return network.get(
        "tools.ozone.server.getConfig", {}, token=network.token(by), proxy=network.labeler
    )


@pytest.mark.parametrize(
    ("by", "role"),
    [("admin", "roleAdmin"), ("moderator", "roleModerator"), ("triage", "roleTriage")],
)
def test_a_member_learns_its_role(network: Network, by: Role, role: str) -> None:
    answer = config(network, by)

    assert answer.status == 200
    assert answer.body["viewer"] == {"role": f"tools.ozone.team.defs#{role}"}
    assert {"appview", "blobDivert", "chat", "pds"} <= answer.body.keys()


def test_a_stranger_learns_nothing(network: Network) -> None:
    answer = config(network, "stranger")

    assert (answer.status, answer.error) == (401, "AuthenticationRequired")
    assert answer.message == "not a moderator account"
