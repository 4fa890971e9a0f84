"""Settings of the running system, from the sources that `streams.settings_sources` looks through."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from state.settings import ScoreName
from streams import settings_sources
from streams.kafka_settings import KafkaSettings
from streams.kinds import TAKEN, TEMPLATES
from streams.topics import use_prefix

MAX_WORD = 40
_WORD = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TOPIC_PREFIX = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*[_.-])?")


class Settings(KafkaSettings, BaseSettings):
    """Everything that an operator may set.

    Options of commands win over variables of the environment, these over a TOML file, and the file over
    the defaults. Each field is the variable ALSOBOUGHT_<FIELD>, and in the file a line `field = value`. The
    file is `alsobought.toml` in the working directory, or the one that ALSOBOUGHT_SETTINGS or `alsobought
    --settings FILE` names; relative directories in it count from its folder. A name that is not in this list
    is refused. `alsobought settings` prints what holds, and where each value is from.

    The fields `window`, `row_capacity`, `most_a_day` and `watched_bought_days` belong to the stored state: a
    store that was made with other values is refused.
    """

    model_config = SettingsConfigDict(
        env_prefix=settings_sources.PREFIX, extra="forbid", hide_input_in_errors=True
    )

    data_dir: Path = Field(
        Path(platformdirs.user_data_dir("alsobought")), description="where state and the local stack live"
    )
    group: str = Field(
        "alsobought",
        description="consumer group of workers, and prefix of that of recommenders and of client names",
    )
    topic_prefix: str = Field(
        "",
        max_length=MAX_WORD,
        description="what the names of all topics and consumer groups begin with, such as green-, so that"
        " several deployments can share a Kafka; the same for all processes and commands of one",
    )
    partitions: int = Field(4, ge=1, le=1024, description="partitions of every topic, when created here")
    replication: int = Field(1, ge=1, le=16, description="replicas of every topic, when created here")

    event_types: str | None = Field(
        None,
        description="further types of events beside purchases and watches, comma separated, such as"
        " liked,carted: each is a topic of this name, with machines and lists of its own; the same for all"
        " workers and commands",
    )

    watched_bought_days: int = Field(
        30,
        ge=0,
        le=3_650,
        description="days of event time after a watch within which a purchase counts as what the customer"
        " went on to buy; 0: no such lists are made; the same for all workers and commands",
    )

    instance: str | None = Field(
        None,
        min_length=1,
        description="name of this process in its group, of one process at a time: one that is started again"
        " within session_ms keeps its partitions without a rebalance; without a name they go"
        " to others",
    )
    session_ms: int = Field(
        10_000,
        ge=6_000,
        le=19_000,
        description="a worker or recommender that is not heard of for so long loses its partitions to others",
    )

    step_back: bool = Field(
        True,
        description="whether recommenders and `alsobought serve` let other programs of the machine go first;"
        " not needed where each process has cores of its own",
    )

    most_a_day: int = Field(
        0,
        ge=0,
        le=65_535,
        description="purchases (or events of another type) of one customer that count on a day of event time;"
        " further ones are dead letters, so that robots do not move lists; 0: all count; the same for all"
        " workers and recommenders",
    )
    window: int = Field(50, ge=1, le=250, description="items pair when their ranks differ by at most this")
    row_capacity: int = Field(32_768, ge=64, le=4_194_304, description="neighbours kept per item")
    list_length: int = Field(100, ge=1, le=1000, description="related items published per item")
    score: ScoreName = Field("mix", description="order of related items")
    score_tolerance: float = Field(
        0.05, ge=0, lt=1, description="relative change of a score that is worth a message of its own"
    )

    recommendations: int = Field(20, ge=1, le=100, description="items recommended to each customer")
    variants: str | None = Field(
        None,
        description="experiment on customers, as NAME=ALGORITHM:PERCENT,... with ours, raw, flawed, corrected"
        " or bestsellers for ALGORITHM: each customer is always shown the same variant's items",
    )

    staleness_ms: int = Field(2_000, ge=10, description="bound from a count to its changed lists")
    catch_up_ms: int = Field(
        15_000,
        ge=10,
        description="the same at the beginning of a backlog (events older than twice staleness_ms, or so many"
        " that counting them takes as long); while it is counted, lists are refreshed ever more rarely, and"
        " not shortly before its end",
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=64,
        description="in how many threads a worker counts its partitions side by side where there is much to"
        " do; without it one for each core that it may use, at most four. Set it where a container has a"
        " share of many cores",
    )
    progress_ms: int = Field(1_000, ge=50, description="time between two reports of how far a worker is")
    sweep_ms: int = Field(300_000, ge=1_000, description="bound within which every list is scored again")
    replay_ms: int = Field(
        5_000,
        ge=100,
        description="time of counting, as measured, that a restart may have to repeat: sets the pace of"
        " writing state",
    )

    checkpoint_url: Annotated[str | None, settings_sources.LOCATION] = Field(
        None,
        description="directory or fsspec URL that checkpoints of the state go to; none are taken without",
    )
    checkpoint_ms: int = Field(600_000, ge=1_000, description="time between two checkpoints of a partition")
    checkpoints_kept: int = Field(3, ge=1, description="checkpoints kept of each partition")
    model_dir: Annotated[str | None, settings_sources.LOCATION] = Field(
        None,
        description="directory or fsspec URL of trained models, the same for all recommenders and for whoever"
        " trains; without it models under data_dir",
    )
    memory_mib: int | None = Field(
        None,
        ge=16,
        description="MiB that rows, histories and ids may take per worker, and histories and ids per"
        " recommender, the rest being read from disk when needed; without it all of them stay in memory",
    )

    web_host: str = Field(
        "127.0.0.1", description="address the queries of this worker or recommender are served on"
    )
    web_port: int = Field(0, ge=0, le=65_535, description="port of these queries; 0: any free one")
    advertise_host: str | None = Field(None, description="host name other machines reach this process by")
    tokens: str | None = Field(
        None,
        description="who may ask this server, or the queries of this process: NAME:RIGHT:HASH of `alsobought"
        " token make`, comma separated; what listens beyond loopback does not start without",
    )
    tokens_file: Path | None = Field(None, description="the same in a file, an entry a line")
    token: SecretStr | None = Field(
        None, description="token that this process or command shows to workers and recommenders"
    )
    token_file: Path | None = Field(None, description="the same in a file")
    allowed_hosts: str | None = Field(
        None,
        description="names by which this server is asked, comma separated, such as shop.example or .internal,"
        " beside localhost, addresses, its own name and advertise_host",
    )
    worker_hosts: str | None = Field(
        None,
        description="hosts that workers and recommenders may be called at, comma separated: names, .DOMAIN,"
        " addresses and networks such as 10.0.0.0/8; without it loopback and private networks",
    )
    requests_per_s: int = Field(
        10_000,
        ge=0,
        description="requests of one client that are answered a second where tokens are set, twice as many at"
        " once; what is computed counts for several; 0: all",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least of what workers and recommenders write to their logs"
    )

    log_format: Literal["text", "json"] = Field(
        "text", description="how all processes write their logs; json: an object in each line"
    )

    trace_ratio: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of events that a worker traces to their lists, beside those whose producers have"
        " sampled them; 0: only those; without it none; where spans go is said by OpenTelemetry's own"
        " variables",
    )

    kafka_home: Path | None = Field(None, description="an installed Kafka to run instead of the downloaded")
    cache_dir: Path = Field(
        Path(platformdirs.user_cache_dir("alsobought")),
        description="downloaded Kafka jars, and an archive of their classes",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings are looked for."""
        return settings_sources.sources(settings_cls, init_settings, env_settings)

    @property
    def worker_group(self) -> str:
        """The consumer group of the workers."""
        return f"{self.topic_prefix}{self.group}"

    @property
    def recommender_group(self) -> str:
        """The consumer group of the recommenders."""
        return f"{self.worker_group}-recommender"

    @property
    def models_url(self) -> str:
        """The directory or URL that models are written to."""
        if self.model_dir is None:
            return str((self.data_dir / "models").absolute())
        return self.model_dir if "://" in self.model_dir else str(Path(self.model_dir).absolute())

    @property
    def event_words(self) -> tuple[str, ...]:
        """The words of `event_types`, in their order."""
        return tuple(word.strip() for word in (self.event_types or "").split(",") if word.strip())

    @field_validator("topic_prefix")
    @classmethod
    def _check_topic_prefix(cls, text: str) -> str:
        if not _TOPIC_PREFIX.fullmatch(text):
            raise ValueError(
                f"{text!r} must consist of letters, digits, - _ and ., begin with a letter or digit and end"
                " with - _ or ., such as green-"
            )
        return text

    @field_validator("event_types")
    @classmethod
    def _check_event_types(cls, text: str | None) -> str | None:
        words = [word.strip() for word in (text or "").split(",") if word.strip()]
        for word in words:
            if not _WORD.fullmatch(word) or len(word) > MAX_WORD:
                raise ValueError(f"{word!r} is not a word of a-z, 0-9 and -, at most {MAX_WORD} long")
            if word in TAKEN or word.startswith(tuple(f"{name}-" for name in TEMPLATES)):
                raise ValueError(f"{word!r} is a name of ours: choose another word")
            if words.count(word) > 1:
                raise ValueError(f"{word!r} is there twice")
        return text


def load_settings(**given: Any) -> Settings:
    """Return the settings of all sources, with those that are given instead, and name topics by them.

    Raises
    ------
    SettingsError
        A setting cannot be used.
    """
    settings = settings_sources.load(Settings, **given)
    use_prefix(settings.topic_prefix)
    return settings
