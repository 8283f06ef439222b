"""Reads the configuration from the environment: one typed field for each variable, and no other way."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

HOME = Path(".bihuan")
# What a parameter of a URL may be called that nobody else should read.
SECRET = "pass|pwd|secret|token|key|sig|cred|auth"


class SettingsError(Exception):
    """A variable holds what cannot be used; the message is one line that names it."""


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("expected host:port, as in 127.0.0.1:50051")
    return text


def _postgres_url(text: str) -> str:
    from sqlalchemy import make_url

    expected = "expected postgresql://user:password@host:5432/database"
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError(expected)
    try:
        url = make_url(text)
        ports = [port for port in (url.port, url.query.get("port")) if port is not None]
        right = all(0 < int(str(port)) < 65536 for port in ports)
    except ValueError:
        right = False
    if not right:
        raise ValueError(f"{expected}, with one port")
    return text


def _public_url(text: str) -> str:
    found = urlsplit(text)
    if found.scheme not in ("http", "https") or not found.netloc or found.query or found.fragment:
        raise ValueError("expected https://host, under which enterprises reach the page")
    return text


def _proxies(text: str) -> str:
    from page.addresses import networks

    networks(text)
    return text


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:  # ~nobody-we-know
        raise ValueError(str(error)) from error


def _roles(path: Path) -> Path:
    from rpc.permissions import Permissions

    Permissions.load(path)
    return path


def _rules(path: Path) -> Path:
    import rules

    try:
        rules.RuleBook.load(path)
    except OSError as error:
        raise ValueError(f"cannot read {error.filename}: {error.strerror}") from error
    return path


def _clock(text: str) -> str:
    import rules

    rules.Clock.parse(text)
    return text


Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0.1, le=86_400)]
Address = Annotated[str, AfterValidator(_address)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
Proxies = Annotated[str, AfterValidator(_proxies)]
PostgresUrl = Annotated[str, AfterValidator(_postgres_url)]
Clock = Annotated[str, AfterValidator(_clock)]
Absolute = Annotated[Path, AfterValidator(_absolute)]
RolesFile = Annotated[Absolute, AfterValidator(_roles)]
RulesFolder = Annotated[Absolute, AfterValidator(_rules)]


def _variable(name: str, default: Any, meaning: str) -> Any:
    return Field(default, validation_alias=name, validate_default=True, description=meaning)


class Settings(BaseSettings):
    """All of the configuration. `None` stands for "not configured"; `description` says what then."""

    # By alias alone: read by name, `home` would be the $HOME of whoever starts us.
    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    home: Absolute = _variable("BIHUAN_HOME", HOME, "folder of data, logs and keys")
    database_url: PostgresUrl | None = _variable(
        "DATABASE_URL", None, "PostgreSQL 18 to use; unset: one of our own in the home"
    )
    archive: Absolute | None = _variable(
        "BIHUAN_ARCHIVE", None, "folder where our own PostgreSQL archives its WAL; unset: nowhere"
    )
    temporal_address: Address | None = _variable(
        "TEMPORAL_ADDRESS", None, "Temporal frontend to use; unset: a dev server of our own"
    )
    temporal_namespace: str = _variable("TEMPORAL_NAMESPACE", "default", "Temporal namespace")
    temporal_port: Port = _variable("BIHUAN_TEMPORAL_PORT", 7233, "port of our own dev server")
    ui_port: Port = _variable("BIHUAN_UI_PORT", 8233, "port of our own Temporal Web UI")
    grpc_address: Address = _variable(
        "BIHUAN_GRPC_ADDRESS", "127.0.0.1:50051", "where the services listen"
    )
    jwks: str | None = _variable(
        "BIHUAN_JWKS", None, "file or URL of the keys that sign tokens; unset: a local issuer"
    )
    token_file: Absolute | None = _variable(
        "BIHUAN_TOKEN_FILE", None, "file with the worker's token; unset: one of the local issuer"
    )
    issuer: str = _variable("BIHUAN_ISSUER", "bihuan-local", "`iss` that tokens must carry")
    roles: RolesFile | None = _variable(
        "BIHUAN_ROLES", None, "file saying which role may call what; unset: the one shipped"
    )
    evidence_url: str | None = _variable(
        "BIHUAN_EVIDENCE_URL", None, "fsspec URL of the evidence files; unset: a folder in the home"
    )
    seal_key: Absolute | None = _variable(
        "BIHUAN_SEAL_KEY", None, "key that signs the log's checkpoints; unset: one of our own"
    )
    master_key: Absolute | None = _variable(
        "BIHUAN_MASTER_KEY",
        None,
        "file of the key that personal data's keys are wrapped by; unset: one of our own",
    )
    draw_key: Absolute | None = _variable(
        "BIHUAN_DRAW_KEY", None, "file of the key of the secrets of draws; unset: one of our own"
    )
    code_key: Absolute | None = _variable(
        "BIHUAN_CODE_KEY", None, "key that signs inspection codes; unset: one of our own"
    )
    log_origin: str = _variable(
        "BIHUAN_LOG_ORIGIN", "bihuan.local/log", "name of the log in its checkpoints"
    )
    checkpoints_url: str | None = _variable(
        "BIHUAN_CHECKPOINTS_URL", None, "fsspec URL of checkpoints; unset: a folder in the home"
    )
    seal_seconds: Seconds = _variable(
        "BIHUAN_SEAL_SECONDS", 10.0, "how often the log is sealed at most"
    )
    request_days: Annotated[int, Field(ge=1, le=36_500)] = _variable(
        "BIHUAN_REQUEST_DAYS", 90, "how long a request_id is known; repeated later it is a new one"
    )
    evidence_mib: Annotated[int, Field(ge=1, le=10240)] = _variable(
        "BIHUAN_EVIDENCE_MIB", 100, "how large an evidence file may be, in MiB"
    )
    clock: Clock | None = _variable(
        "BIHUAN_CLOCK", None, "a clock that runs fast, for demonstrations; unset: real time"
    )
    rules: RulesFolder | None = _variable(
        "BIHUAN_RULES", None, "folder of rules added to the shipped ones"
    )
    page_address: Address = _variable(
        "BIHUAN_PAGE_ADDRESS", "127.0.0.1:8234", "where the public web page listens"
    )
    page_url: PublicUrl | None = _variable(
        "BIHUAN_PAGE_URL", None, "public address of the page, in QRs; unset: where it listens"
    )
    page_token_file: Absolute | None = _variable(
        "BIHUAN_PAGE_TOKEN_FILE", None, "file with the page's token; unset: one of the local issuer"
    )
    page_proxies: Proxies | None = _variable(
        "BIHUAN_PAGE_PROXIES", None, "networks whose X-Forwarded-For is believed; unset: nobody's"
    )
    page_lookups: Annotated[int, Field(ge=1, le=100_000)] = _variable(
        "BIHUAN_PAGE_LOOKUPS", 30, "codes that one address may look up in a minute"
    )
    otlp_endpoint: str | None = _variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT", None, "where traces go; unset: nowhere"
    )

    def configured(self, field: str) -> bool:
        """Whether somebody chose the value, rather than it being our default."""
        return field in self.model_fields_set

    def environment(self) -> dict[str, str]:
        """The variables that make another process read these very settings."""
        values = ((variable, getattr(self, field)) for field, variable in variables())
        return {variable: str(value) for variable, value in values if value is not None}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `bihuan config`. `value` has its secrets masked; `source`: environment, default."""

    name: str
    value: str | None
    source: str
    meaning: str


def variables() -> Iterator[tuple[str, str]]:
    """Each field's name with the variable it is read from."""
    for field, info in Settings.model_fields.items():
        yield field, str(info.validation_alias)


def load() -> Settings:
    """Read the environment. Raises SettingsError for the first variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name, given = str(first["loc"][0]), masked(str(first["input"]))
        wrong = " ".join(first["msg"].removeprefix("Value error, ").split())
        raise SettingsError(f"{name}: {wrong}; it is {given!r}") from None


def entries(settings: Settings) -> list[Entry]:
    """What is configured, fit to be shown to anyone."""
    return [
        Entry(
            name=variable,
            value=None if (value := getattr(settings, field)) is None else masked(str(value)),
            source="environment" if settings.configured(field) else "default",
            meaning=Settings.model_fields[field].description or "",
        )
        for field, variable in variables()
    ]


def masked(text: str) -> str:
    """The text without the secrets that a URL in it carries; rather too little than too much."""
    text = re.sub(r"(://[^:/?#@\s]*:)\S*@", r"\1***@", text)
    text = re.sub(r"(https?://)[^/?#@\s:]+@", r"\1***@", text)  # there a name alone is a token
    return re.sub(rf"([?&#;][\w.%-]*(?:{SECRET})[\w.%-]*=)[^&#\s]*", r"\1***", text, flags=re.I)
