"""Makes a used Kafka empty again, because starting one takes longer than most tests."""

from __future__ import annotations

from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove

from streams.broker.admin import admin_client
from streams.broker.topics_admin import create_topics
from streams.connections.bootstrap import Bootstrap
from tests.streams.pipeline import PARTITIONS, TOPICS, until

STARTING = {"NotCoordinatorError", "CoordinatorLoadInProgressError", "CoordinatorNotAvailableError"}


def make_anew(bootstrap: Bootstrap) -> None:
    """Delete all groups and topics, and create ours; no process of an earlier test may run any more."""
    with admin_client(bootstrap) as admin:
        until(lambda: _delete_groups(admin), "the end of the groups")
        if topics := [name for name in admin.list_topics() if not name.startswith("__")]:
            admin.delete_topics(topics)
            # the broker learns of it after the controller; a topic that still exists would not be created
            until(lambda: not {*topics} & {*admin.list_topics()}, "the end of the topics")
    create_topics(bootstrap, TOPICS, PARTITIONS, 1)


def _delete_groups(admin: KafkaAdminClient) -> bool:
    """Delete all groups; return whether it is done, which a broker that was just started may delay."""
    groups = [group["group_id"] for group in admin.list_groups()]
    for group, described in admin.describe_groups(groups).items():
        # a killed process remains a member for some seconds
        dead = [
            MemberToRemove(member["member_id"], member["group_instance_id"])
            for member in described["members"]
        ]
        if dead:
            admin.remove_group_members(group, dead)
    deleted = admin.delete_groups(groups)
    assert not {*deleted.values()} - {"OK", *STARTING}, f"does an earlier test's worker run? {deleted}"
    return {*deleted.values()} <= {"OK"}
