"""Keys of Amazon Web Services, found where the SDKs find them, in their order.

Variables, a web identity (IAM roles for service accounts), a profile with keys or a web identity, the container's credentials (ECS,
EKS Pod Identity), the instance's role (IMDSv2). A profile that needs more (SSO, a source profile, a program) is left to botocore,
of the extra ``aws``. An identity that a variable names is used or nothing is: the next source would be another identity.
"""

from __future__ import annotations

import configparser
import html
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from gazami.registry.providers.grant import Unavailable
from gazami.registry.providers.sigv4 import AwsKeys
from gazami.registry.providers.web import Headers, Web, missing_extra, read_secret, text_of

_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_CONTAINER = "http://169.254.170.2"
_CONTAINER_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost", "127.0.0.1", "::1"})
"""Hosts that may be given credentials over plain HTTP (SDK reference, container credential provider)."""

_INSTANCE = "http://169.254.169.254"
_INSTANCE_V6 = "http://[fd00:ec2::254]"
_ROLE = "/latest/meta-data/iam/security-credentials/"
_FROM_ELSEWHERE = ("sso_session", "sso_start_url", "source_profile", "credential_source", "credential_process")

Environment = Mapping[str, str]


def find_keys(environ: Environment, web: Web, region: str, now: Callable[[], float] = time.time) -> AwsKeys:
    """Raises :class:`Unavailable` with what each source said."""
    reasons: list[str] = []
    for place in _places(environ):
        try:
            keys = place(environ, web, region, now)
        except Unavailable as error:
            if names := [name for name in _NAMED.get(place, ()) if environ.get(name)]:
                raise Unavailable(f"{error.message}; no other identity is tried because {names[0]} names this one") from None
            reasons.append(error.message)
        else:
            if keys is not None:
                return keys
    raise Unavailable("no AWS credentials: " + "; ".join(reasons or ["no source is configured"]))


Provider = Callable[[Environment, Web, str, Callable[[], float]], AwsKeys | None]


def _places(environ: Environment) -> tuple[Provider, ...]:
    """A profile that is asked for by name goes before everything else."""
    if environ.get("AWS_PROFILE"):
        return (_profile, _variables, _web_identity, _container, _instance)
    return (_variables, _web_identity, _profile, _container, _instance)


def service_endpoint(environ: Environment, service: str, otherwise: str) -> str:
    """``AWS_ENDPOINT_URL_<SERVICE>``, ``AWS_ENDPOINT_URL``, else the service's own address."""
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return otherwise
    found = environ.get(f"AWS_ENDPOINT_URL_{service}") or environ.get("AWS_ENDPOINT_URL") or otherwise
    return found.rstrip("/") + "/"


def _variables(environ: Environment, web: Web, region: str, now: Callable[[], float]) -> AwsKeys | None:
    access, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not access and not secret:
        return None
    if not access or not secret:
        raise Unavailable("only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set")
    return AwsKeys(access, secret, environ.get("AWS_SESSION_TOKEN", ""), how="keys of AWS_ACCESS_KEY_ID")


def _web_identity(environ: Environment, web: Web, region: str, now: Callable[[], float]) -> AwsKeys | None:
    file, role = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE", ""), environ.get("AWS_ROLE_ARN", "")
    if not file:
        return None
    if not role:
        raise Unavailable("AWS_WEB_IDENTITY_TOKEN_FILE is set without AWS_ROLE_ARN")
    session = environ.get("AWS_ROLE_SESSION_NAME", "")
    return _assume(environ, web, region, now, file=file, role=role, session=session)


def _assume(
    environ: Environment, web: Web, region: str, now: Callable[[], float], *, file: str, role: str, session: str
) -> AwsKeys:
    """STS AssumeRoleWithWebIdentity, which is not signed: the token is the proof."""
    fields = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": session or f"gazami-{int(now())}",
        "WebIdentityToken": read_secret(file, "the web identity token"),
    }
    own = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or region
    if not _REGION.match(own):
        raise Unavailable(f"{own!r} is not an AWS region")
    domain = "amazonaws.com.cn" if own.startswith("cn-") else "amazonaws.com"
    url = service_endpoint(environ, "STS", f"https://sts.{own}.{domain}")
    headers = (("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "text/xml"))
    answer = web.ask("POST", url, headers, urlencode(fields).encode()).decode("utf-8", "replace")

    def element(name: str) -> str:
        found = re.search(rf"<{name}>\s*([^<]+?)\s*</{name}>", answer)
        return html.unescape(found.group(1)) if found else ""

    access, secret = element("AccessKeyId"), element("SecretAccessKey")
    if not access or not secret:
        raise Unavailable("STS answered without keys")
    lifetime = _lifetime(element("Expiration"), now)
    return AwsKeys(access, secret, element("SessionToken"), lifetime, f"web identity, role {role}")


def _profile(environ: Environment, web: Web, region: str, now: Callable[[], float]) -> AwsKeys | None:
    name = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    settings = _settings(environ, name)
    if not settings:
        if environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE"):
            raise Unavailable(f"there is no AWS profile {name!r}")
        return None
    if settings.get("aws_access_key_id") and settings.get("aws_secret_access_key") and "role_arn" not in settings:
        session = settings.get("aws_session_token", "")
        return AwsKeys(settings["aws_access_key_id"], settings["aws_secret_access_key"], session, how=f"keys of the profile {name}")
    if settings.get("role_arn") and settings.get("web_identity_token_file"):
        return _assume(
            environ,
            web,
            settings.get("region") or region,
            now,
            file=settings["web_identity_token_file"],
            role=settings["role_arn"],
            session=settings.get("role_session_name", ""),
        )
    if any(key in settings for key in _FROM_ELSEWHERE):
        return _from_botocore(name, now)
    if any(key in settings for key in ("aws_access_key_id", "aws_secret_access_key", "role_arn")):
        raise Unavailable(f"the AWS profile {name!r} is not complete")
    return None


def region_of(environ: Environment) -> str:
    """The region that is set: by variable, else by the profile; empty where there is none."""
    name = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    try:
        profile = _settings(environ, name).get("region", "")
    except Unavailable:
        profile = ""
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or profile


def _settings(environ: Environment, name: str) -> dict[str, str]:
    """The profile's lines of the two files; those of the credentials file win."""
    home = environ.get("HOME", "")
    places = (
        (environ.get("AWS_CONFIG_FILE") or f"{home}/.aws/config", name if name == "default" else f"profile {name}"),
        (environ.get("AWS_SHARED_CREDENTIALS_FILE") or f"{home}/.aws/credentials", name),
    )
    found: dict[str, str] = {}
    for path, section in places:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(Path(path).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            if path in (environ.get("AWS_SHARED_CREDENTIALS_FILE"), environ.get("AWS_CONFIG_FILE")):
                raise Unavailable(f"{path} does not exist") from None
            continue
        except (OSError, UnicodeDecodeError, configparser.Error):
            raise Unavailable(f"cannot read {path}") from None
        if parser.has_section(section):
            found.update(parser.items(section))
    return found


def _from_botocore(profile: str, now: Callable[[], float]) -> AwsKeys:
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        raise missing_extra("aws", f"the AWS profile {profile!r}") from None
    try:
        found = Session(profile=profile).get_credentials()
        keys = found.get_frozen_credentials() if found else None
    except BotoCoreError as error:
        raise Unavailable(f"the AWS profile {profile!r}: {type(error).__name__}") from None
    if keys is None:
        raise Unavailable(f"the AWS profile {profile!r} has no credentials")
    return AwsKeys(keys.access_key, keys.secret_key, keys.token or "", 900.0, f"the profile {profile}")


def _container(environ: Environment, web: Web, region: str, now: Callable[[], float]) -> AwsKeys | None:
    relative, full = (environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    if relative:
        url = f"{_CONTAINER}/{relative.removeprefix('/')}"
    elif full:
        url = full
        if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in _CONTAINER_HOSTS:
            raise Unavailable("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor a host of this machine")
    else:
        return None
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if file := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        token = read_secret(file, "the container's authorization token")
    headers: Headers = (("Authorization", token),) if token else ()
    return _from_document(web.json("GET", url, headers, metadata=True), "the container's credentials", now)


def _instance(environ: Environment, web: Web, region: str, now: Callable[[], float]) -> AwsKeys | None:
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    six = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower() == "ipv6"
    base = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or (_INSTANCE_V6 if six else _INSTANCE)
    base = base.rstrip("/")
    ttl = (("X-aws-ec2-metadata-token-ttl-seconds", "21600"),)
    token = web.ask("PUT", f"{base}/latest/api/token", ttl, metadata=True).decode("ascii", "replace").strip()
    headers = (("X-aws-ec2-metadata-token", token),)
    roles = web.ask("GET", base + _ROLE, headers, metadata=True).decode("utf-8", "replace").split()
    if not roles:
        raise Unavailable("the instance has no role")
    document = web.json("GET", base + _ROLE + roles[0], headers, metadata=True)
    return _from_document(document, f"the instance's role {roles[0]}", now)


def _from_document(document: dict[str, Any], how: str, now: Callable[[], float]) -> AwsKeys:
    return AwsKeys(
        text_of(document, "AccessKeyId", how),
        text_of(document, "SecretAccessKey", how),
        str(document.get("Token") or ""),
        _lifetime(str(document.get("Expiration") or ""), now),
        how,
    )


def _lifetime(expiration: str, now: Callable[[], float]) -> float:
    """Seconds until an ISO 8601 time; a quarter of an hour where there is none."""
    try:
        return max(0.0, datetime.fromisoformat(expiration.replace("Z", "+00:00")).timestamp() - now())
    except (ValueError, OverflowError):
        return 900.0


_NAMED: dict[Provider, tuple[str, ...]] = {
    _variables: ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    _web_identity: ("AWS_WEB_IDENTITY_TOKEN_FILE",),
    _profile: ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"),
    _container: ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
}
"""The variables by which somebody names the identity of a place."""
