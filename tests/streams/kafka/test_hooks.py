"""Tests of the hooks into Faust and aiokafka: an upgrade that changes one fails here."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from importlib.metadata import version
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import (
    Assignment,
    Subscription,
    SubscriptionState,
    TopicPartitionState,
)
from aiokafka.producer import message_accumulator
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver

from streams import app as topology
from streams.connections import clients
from streams.connections.records import PartitionRecords
from streams.faust_app import NoTables
from streams.kafka.transport import Consumer, ConsumerThread, Producer, Schema
from streams.messages.record_batches import RecordBatch

OVERRIDDEN: list[tuple[type, type, str, str]] = [
    (ConsumerThread, driver.AIOKafkaConsumerThread, "_create_worker_consumer", "self transport"),
    (ConsumerThread, driver.AIOKafkaConsumerThread, "on_start", "self"),
    (
        ConsumerThread, driver.AIOKafkaConsumerThread, "_fetch_records",
        "self consumer active_partitions timeout max_records",
    ),
    (Consumer, driver.Consumer, "_new_consumer_thread", "self"),
    (Consumer, driver.Consumer, "seek_to_committed", "self"),
    (Consumer, driver.Consumer, "_wait_next_records", "self timeout"),
    (Consumer, driver.Consumer, "getmany", "self timeout"),
    (Producer, driver.Producer, "_new_producer", "self transactional_id"),
    (NoTables, TableManager, "on_start", "self"),
    (PartitionRecords, PartitionRecords.__base__, "_consumer_record", "self tp record"),
    (Schema, faust.Schema, "loads_key", "self app message loads serializer"),
    (Schema, faust.Schema, "loads_value", "self app message loads serializer"),
]  # fmt: skip
"""Ours, theirs, the method, and its parameters there."""

CALLED: list[tuple[type, str, str]] = [
    (driver.Consumer, "_getmany", "self active_partitions timeout"),
    (driver.Consumer, "seek_wait", "self partitions"),
    (driver.Consumer, "perform_seek", "self"),
    (driver.AIOKafkaConsumerThread, "getmany", "self active_partitions timeout"),
    (driver.Producer, "_ensure_producer", "self"),
    (driver.Producer, "_settings_default", "self"),
    (TableManager, "_update_channels", "self"),
    (faust.App, "_new_transport", "self"),
    (faust.App, "_new_producer_transport", "self"),
    (GroupCoordinator, "_do_heartbeat", "self"),
    (Fetcher, "fetched_records", "self partitions timeout max_records"),
    (AIOKafkaConsumer, "paused", "self"),
    (AIOKafkaConsumer, "pause", "self partitions"),
    (AIOKafkaConsumer, "resume", "self partitions"),
    (AIOKafkaProducer, "send_batch", "self batch topic partition"),
    (Assignment, "state_value", "self tp"),
]


STOOD_IN_FOR = ("append", "close", "closed", "record_count", "size", "_set_producer_state", "_build")
"""What aiokafka calls of a batch, in whose place is ours."""


def _parameters(function: Any) -> str:
    return " ".join(inspect.signature(function).parameters)


def test_opening_stores_may_take_as_long_as_it_takes() -> None:
    """Faust's recovery loop ends for ever, silently, when `perform_seek` takes longer than this setting."""
    assert "broker_request_timeout" in inspect.getsource(Recovery._resume_streams)
    assert topology.app.conf.broker_request_timeout > 3600


def test_the_versions_are_those_the_hooks_are_made_for() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka") == "0.14.0"


@pytest.mark.parametrize(("ours", "theirs", "name", "parameters"), OVERRIDDEN)
def test_overridden_methods_exist(ours: type, theirs: type, name: str, parameters: str) -> None:
    old, new = inspect.getattr_static(theirs, name), vars(ours)[name]
    assert issubclass(ours, theirs)
    assert _parameters(old).removesuffix(" kwargs") == parameters
    for kind in (inspect.iscoroutinefunction, inspect.isasyncgenfunction):
        assert kind(old) == kind(new)


@pytest.mark.parametrize(("theirs", "name", "parameters"), CALLED)
def test_called_methods_have_the_expected_parameters(theirs: type, name: str, parameters: str) -> None:
    assert _parameters(inspect.getattr_static(theirs, name)) == parameters


def test_positions_are_where_they_are_looked_for() -> None:
    for owner, name in (
        (SubscriptionState, "subscription"),
        (Subscription, "assignment"),
        (Assignment, "tps"),
        (TopicPartitionState, "position"),
        (TopicPartitionState, "has_valid_position"),
    ):
        assert isinstance(inspect.getattr_static(owner, name), property)


def test_hooks_are_reached_from_where_they_must_be() -> None:
    """The libraries' code calls these names; if they are renamed there, an override would do nothing."""
    for caller, name in (
        (driver.AIOKafkaConsumerThread.getmany, "_fetch_records"),
        (driver.AIOKafkaConsumerThread._create_consumer, "_create_worker_consumer"),
        (faust_consumer.ThreadDelegateConsumer.__init__, "_new_consumer_thread"),
        (faust_consumer.ThreadDelegateConsumer._getmany, "getmany"),
        (faust_consumer.Consumer.perform_seek, "seek_to_committed"),
        (faust_consumer.Consumer._drain_messages, "getmany"),
        (driver.Producer.on_start, "_new_producer"),
        (GroupCoordinator._heartbeat_routine, "_do_heartbeat"),
        (fetcher.PartitionRecords.__base__._unpack_records, "_consumer_record"),
        (Fetcher._proc_fetch_request, "PartitionRecords"),
    ):
        assert name in caller.__code__.co_names, (caller, name)


@pytest.mark.parametrize("name", STOOD_IN_FOR)
def test_a_batch_has_the_methods_that_aiokafka_calls(name: str) -> None:
    ours, theirs = inspect.signature(getattr(RecordBatch, name)), _parameters(getattr(BatchBuilder, name))
    if name != "append":  # it accepts any call, and refuses it
        assert " ".join(ours.parameters) == theirs


def test_aiokafka_calls_nothing_else_of_a_batch() -> None:
    source = inspect.getsource(message_accumulator.MessageBatch)
    source += inspect.getsource(message_accumulator.MessageAccumulator)
    called = set(re.findall(r"(?:_builder|\bbuilder)\.(\w+)\(", source))
    assert called <= set(STOOD_IN_FOR)
    assert {"_build", "_set_producer_state", "record_count"} <= called


def test_the_time_that_fetches_may_wait_is_where_it_is_set() -> None:
    assert "self._prefetch_backoff" in inspect.getsource(Fetcher._proc_fetch_request)
    assert "self._prefetch_backoff = prefetch_backoff" in inspect.getsource(Fetcher.__init__)


def test_a_rebalance_makes_states_anew_that_are_not_paused() -> None:
    """Therefore paused partitions must be paused again afterwards."""

    async def main() -> None:
        tp = TopicPartition("t", 0)
        state = Assignment({tp}).state_value(tp)
        assert not state.paused
        state.pause()
        assert state.paused
        assert not Assignment({tp}).state_value(tp).paused

    asyncio.run(main())


def test_consumers_deliver_our_records() -> None:
    assert clients.__name__ in sys.modules
    assert fetcher.PartitionRecords is PartitionRecords
