"""Parsed flags and surroundings → BuildRequest: a pure function that checks what kaniko checks, in its order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, cast

from gazami import __version__
from gazami.builder import request as wishes
from gazami.cli import registries
from gazami.cli.environ import Surroundings, config_places
from gazami.cli.flags.annotations import Annotations, read_annotations
from gazami.cli.flags.argv import Parsed, changed
from gazami.cli.flags.option import Effect
from gazami.cli.flags.options import BUILD
from gazami.cli.flags.outputs import read_cache_from, read_cache_to, read_outputs
from gazami.cli.flags.values import Pairs, SecretSpec
from gazami.cli.paths import absolute, absolute_cache, absolute_context, absolute_or_url, absolutes
from gazami.errors import UsageError
from gazami.events import Level, Message
from gazami.image.platform import Platform, host_platform, parse_platform
from gazami.image.reference import parse_reference
from gazami.values import dataclass, replace

_UNUSED_VARIABLES = (
    "KANIKO_TELEMETRY_ENDPOINT",
    "STACKLOG_PATH",
    "BENCHMARK_FILE",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The request, and what there is to say about flags and variables before the build starts."""

    request: wishes.BuildRequest
    messages: tuple[Message, ...]


def build_request(parsed: Parsed, around: Surroundings) -> Wanted:
    """Raises :class:`UsageError`. ``parsed`` has the environment's defaults already (``argv.with_environment``)."""
    context = _context(parsed, around)
    plan, unset = _plan(parsed, around)
    secrets = tuple(_secret(spec, around) for spec in parsed.secrets("secret"))
    output = _output(parsed, around, plan.platform)
    cache = _cache(parsed, around.cwd, push_image=output.push)
    request = wishes.BuildRequest(
        context=context,
        plan=plan,
        sandbox=_sandbox(parsed, around, secrets),
        output=output,
        registry=registry_wishes(parsed, around),
        snapshot=wishes.SnapshotWishes(
            mode=cast('Literal["full", "redo", "time"]', parsed.text("snapshot-mode")),
            single=parsed.flag("single-snapshot"),
            reproducible=parsed.flag("reproducible"),
        ),
        cache=cache,
        dryrun=parsed.flag("dryrun"),
        print_plan=bool(around.environ.get("KANIKO_PRINT_PLAN")),
    )
    unused = (Message("warning", text) for text in _annotations(parsed, plan.platform).unused)
    return Wanted(request, (*_messages(parsed, around), *unset, *unused))


def _context(parsed: Parsed, around: Surroundings) -> wishes.ContextWishes:
    context, bucket = parsed.text("context"), parsed.text("bucket")
    if parsed.positionals:
        first, *more = parsed.positionals
        if more:
            hint = f"a bool flag takes its value after '=': --flag={more[0]}" if more[0] in ("true", "false") else None
            raise UsageError(f"only one context can be given, but {more[0]!r} is there too", hint=hint)
        if "context" in parsed.given and context != first:
            raise UsageError(f"the context is given twice: {first!r} and --context={context}")
        context = first
    if bucket and (not context or "://" in context):
        context = bucket if "://" in bucket else f"gs://{bucket}"
    if context in ("-", "tar://stdin") and parsed.text("dockerfile") == "-":
        raise UsageError("standard input cannot be the context and the Dockerfile at the same time")
    return wishes.ContextWishes(
        context=absolute_context(context, around.cwd),
        sub_path=parsed.text("context-sub-path"),
        dockerfile=parsed.text("dockerfile"),
        dockerfile_given="dockerfile" in parsed.given,
        ignore_paths=parsed.texts("ignore-path"),
        git=parsed.pairs("git"),
        named=tuple((name, absolute_context(value, around.cwd)) for name, value in parsed.pairs("build-context")),
        environment=registries.context_variables(around.environ),
    )


def _plan(parsed: Parsed, around: Surroundings) -> tuple[wishes.PlanWishes, list[Message]]:
    host = host_platform(around.machine)
    build_args, messages = _build_args(parsed.texts("build-arg"), around.environ)
    return (
        wishes.PlanWishes(
            host=host,
            platform=_platform(parsed.text("custom-platform"), host),
            build_args=build_args,
            targets=parsed.texts("target"),
            labels=_labels(parsed.texts("label")),
        ),
        messages,
    )


def _platform(text: str, host: Platform) -> Platform:
    if not text:
        return host
    try:
        return parse_platform(text, host=host)
    except UsageError as error:
        raise UsageError(f"--custom-platform: {error.message}", hint=error.hint) from error


def _build_args(words: tuple[str, ...], environ: Mapping[str, str]) -> tuple[Pairs, list[Message]]:
    """A bare name that the environment lacks is left out, so that the ARG keeps its default, as with docker build."""
    pairs: list[tuple[str, str]] = []
    messages: list[Message] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageError(f"invalid value {word!r} for --build-arg", hint="write NAME=VALUE, or NAME")
        if not equals and name not in environ:
            text = f"--build-arg {name}: the environment has no {name}, the ARG keeps its default"
            messages.append(Message("warning", text))
            continue
        pairs.append((name, value if equals else environ[name]))
    if environ.get("SOURCE_DATE_EPOCH") and not any(name == "SOURCE_DATE_EPOCH" for name, _ in pairs):
        pairs.append(("SOURCE_DATE_EPOCH", environ["SOURCE_DATE_EPOCH"]))
    return tuple(pairs), messages


def _labels(words: tuple[str, ...]) -> Pairs:
    for word in words:
        if "=" not in word or word.startswith("="):
            raise UsageError(f"invalid value {word!r} for --label: labels must be of the form key=value")
    return tuple((key, value) for key, _, value in (word.partition("=") for word in words))


def _secret(spec: SecretSpec, around: Surroundings) -> tuple[str, str, str]:
    """``(id, "file" | "env", path or value)``. With only an id: the variable of that name if it exists, else the file."""
    environ = around.environ
    kind = spec.type or ("env" if spec.id in environ else "file")
    if kind == "file":
        return spec.id, "file", absolute(spec.src or spec.id, around.cwd)
    variable = spec.env or spec.id
    if variable not in environ:
        hint = f"export {variable}, or take the secret from a file: --secret id={spec.id},src=PATH"
        raise UsageError(f"--secret: the environment has no variable {variable} for the secret {spec.id!r}", hint=hint)
    return spec.id, "env", environ[variable]


def _output(parsed: Parsed, around: Surroundings, platform: Platform) -> wishes.OutputWishes:
    cwd = around.cwd
    outputs = read_outputs(parsed.texts("output"), cwd)
    destinations = (*parsed.texts("destination"), *outputs.destinations)
    push = not parsed.flag("no-push") and bool(destinations or not outputs)
    if push and not destinations:
        hint = "for example: gazami build . --tag registry.example.com/app:1.0"
        raise UsageError("you must provide --destination, or use --no-push", hint=hint)
    for destination in destinations:
        if parse_reference(destination).digest:
            raise UsageError(f"--destination {destination}: an image is pushed by tag, not by digest")
    tars = (*_given(absolute(parsed.text("tar-path"), cwd)), *outputs.archives)
    image_format, compression = parsed.text("image-format"), parsed.text("compression")
    _check_formats(image_format, compression, tars)
    for name in ("image-name-with-digest-file", "image-name-tag-with-digest-file"):
        if parsed.text(name) and not destinations:
            raise UsageError(f"you must provide --destination if setting --{name}")
    level = parsed.number("compression-level")
    index = _index(parsed, platform, push=push)
    annotations = _annotations(parsed, platform)
    return wishes.OutputWishes(
        destinations=destinations,
        push=push,
        check_push=not parsed.flag("skip-push-permission-check"),
        tar_paths=tars,
        oci_layout_paths=(*_given(absolute(parsed.text("oci-layout-path"), cwd)), *outputs.layouts),
        exports=outputs.exports,
        digest_file=absolute_or_url(parsed.text("digest-file"), cwd),
        image_name_with_digest_file=absolute_or_url(parsed.text("image-name-with-digest-file"), cwd),
        image_name_tag_with_digest_file=absolute_or_url(parsed.text("image-name-tag-with-digest-file"), cwd),
        image_id_file=absolute_or_url(parsed.text("iidfile"), cwd),
        metadata_file=absolute_or_url(parsed.text("metadata-file"), cwd),
        builder_output=absolute(around.environ.get("BUILDER_OUTPUT", ""), cwd),
        image_format=cast('Literal["docker", "oci"] | None', image_format or None),
        compression=cast('Literal["gzip", "zstd"]', compression or "gzip"),
        compression_level=level if level > 0 else None,
        annotations=annotations.manifest,
        rewrite_timestamp=outputs.rewrite_timestamp,
        index=replace(index, annotations=annotations.index) if index is not None else None,
    )


def _annotations(parsed: Parsed, platform: Platform) -> Annotations:
    return read_annotations(parsed.pairs("annotation"), platform, has_index=bool(parsed.texts("index")))


def _index(parsed: Parsed, platform: Platform, *, push: bool) -> wishes.IndexWishes | None:
    texts, run = parsed.texts("index"), parsed.text("index-run")
    if not texts and not run:
        return None
    if not texts or not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", run):
        hint = "for example: --index linux/amd64,linux/arm64 --index-run $CI_PIPELINE_ID"
        raise UsageError(
            "--index and --index-run go together, and the run is up to 80 letters, digits, _ . -", hint=hint
        )
    if not push:
        raise UsageError("--index needs a push: the builds meet in the registry of --destination")
    platforms = tuple(dict.fromkeys(parse_platform(text) for text in texts))
    if platform not in platforms:
        raise UsageError(f"--index does not name {platform}, the platform of this build", hint="add it, or --platform")
    return wishes.IndexWishes(platforms, run)


def _given(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _check_formats(image_format: str, compression: str, tar_paths: tuple[str, ...]) -> None:
    if compression == "zstd" and image_format == "docker":
        hint = "use --image-format=oci, or --compression=gzip"
        raise UsageError("--compression=zstd cannot be used with --image-format=docker", hint=hint)
    if tar_paths and (image_format == "oci" or compression == "zstd"):
        other = "--image-format=oci" if image_format == "oci" else "--compression=zstd"
        hint = "the archive is for docker load; --oci-layout-path writes an OCI image"
        raise UsageError(f"--tar-path cannot be used with {other}", hint=hint)


def _cache(parsed: Parsed, cwd: str, *, push_image: bool) -> wishes.CacheWishes:
    sources = read_cache_from(parsed.texts("cache-from"))
    inline = ("inline",) if "BUILDKIT_INLINE_CACHE=1" in parsed.texts("build-arg") else ()
    target = read_cache_to((*parsed.texts("cache-to"), *inline))
    enabled = (parsed.flag("cache") or bool(sources) or target is not None) and not parsed.flag("no-cache")
    repository = parsed.text("cache-repo")
    push = not parsed.flag("no-push-cache")
    everything = target is not None or bool(sources)
    if target is not None:
        repository = repository or target.place
    elif sources and not parsed.flag("cache"):
        push = False
    if enabled and not push_image and not repository and push and not everything:
        raise UsageError("if using cache with --no-push, specify cache repo with --cache-repo")
    return wishes.CacheWishes(
        enabled=enabled,
        repository=absolute_cache(repository, cwd),
        sources=tuple(absolute_cache(source, cwd) for source in sources),
        inline=target is not None and target.inline,
        push=push and not (target is not None and target.inline and not repository),
        copy_layers=parsed.flag("cache-copy-layers") or everything,
        run_layers=parsed.flag("cache-run-layers"),
        ttl=parsed.seconds("cache-ttl") or 0.0,
        directory=absolute(parsed.text("cache-dir"), cwd),
        mounts=_size(parsed.text("cache-mounts-max"), "cache-mounts-max") if parsed.flag("cache-mounts") else 0,
    )


def registry_wishes(parsed: Parsed, around: Surroundings) -> wishes.RegistryWishes:
    client = around.environ.get("UPSTREAM_CLIENT_TYPE")
    return wishes.RegistryWishes(
        insecure=parsed.flag("insecure"),
        insecure_pull=parsed.flag("insecure-pull"),
        insecure_registries=parsed.texts("insecure-registry"),
        skip_tls_verify=parsed.flag("skip-tls-verify"),
        skip_tls_verify_pull=parsed.flag("skip-tls-verify-pull"),
        skip_tls_verify_registries=parsed.texts("skip-tls-verify-registry"),
        certificates=tuple((host, absolute(path, around.cwd)) for host, path in parsed.pairs("registry-certificate")),
        client_certificates=tuple(
            _client_certificate(host, files, around.cwd) for host, files in parsed.pairs("registry-client-cert")
        ),
        push_retry=max(0, parsed.number("push-retry")),
        push_ignore_immutable_tag_errors=parsed.flag("push-ignore-immutable-tag-errors"),
        image_download_retry=max(0, parsed.number("image-download-retry")),
        image_fs_extract_retry=max(0, parsed.number("image-fs-extract-retry")),
        certificate_directories=absolutes(registries.certificate_directories(around.environ), around.cwd),
        mirrors=registries.mirrors(parsed),
        skip_default_registry_fallback=parsed.flag("skip-default-registry-fallback"),
        credential_helpers=registries.credential_helpers(parsed),
        environment=registries.credential_variables(around.environ),
        named_hosts=registries.named_hosts(parsed, around.environ),
        docker_config=around.docker_config,
        docker_config_place=around.docker_config_place,
        docker_config_files=absolutes(config_places(around.environ), around.cwd),
        secret_files=absolutes(registries.secret_files(around.environ), around.cwd),
        proxies=proxies(around.environ),
        user_agent=f"gazami/{__version__}" + (f",{client}" if client else ""),
    )


def _client_certificate(host: str, files: str, cwd: str) -> tuple[str, str, str]:
    certificate, comma, key = files.partition(",")
    if not certificate or not comma or not key or "," in key:
        raise UsageError(
            f"invalid value {files!r} for --registry-client-cert", hint="write HOST=/path/cert.pem,/path/key.pem"
        )
    return host, absolute(certificate, cwd), absolute(key, cwd)


def proxies(environ: Mapping[str, str]) -> Pairs:
    """The proxy variables by upper-case name; where both spellings are set, the upper-case one counts, as in Go."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    found = ((name, environ.get(name) or environ.get(name.lower())) for name in names)
    return tuple((name, value) for name, value in found if value)


def _sandbox(parsed: Parsed, around: Surroundings, secrets: tuple[tuple[str, str, str], ...]) -> wishes.SandboxWishes:
    return wishes.SandboxWishes(
        state_dir=state_dir(parsed.text("state-dir"), around),
        memory=not parsed.text("state-dir"),
        isolation=parsed.text("isolation") or None,
        force=parsed.flag("force"),
        in_container=around.in_container,
        secrets=secrets,
        ssh=tuple(_agent(word, around) for word in parsed.texts("ssh")),
        add_hosts=tuple(_host(word) for word in parsed.texts("add-host")),
        timeout=parsed.seconds("timeout"),
        shm_size=_size(parsed.text("shm-size")),
        ulimits=tuple(_ulimit(word) for word in parsed.texts("ulimit")),
    )


def _agent(word: str, around: Surroundings) -> tuple[str, str]:
    """``default``, ``ID`` or ``ID=SOCKET`` → ``(ID, socket)``. Raises :class:`UsageError` when there is no agent."""
    identity, _, socket = word.partition("=")
    socket = absolute(socket or around.environ.get("SSH_AUTH_SOCK", ""), around.cwd)
    if not socket:
        raise UsageError(
            f"--ssh {word}: there is no agent (SSH_AUTH_SOCK is not set)", hint="--ssh ID=SOCKET names one"
        )
    return identity or "default", socket


def _size(text: str, flag: str = "shm-size") -> int:
    number, unit = text.lower().removesuffix("b"), 1
    if number[-1:] in ("k", "m", "g"):
        number, unit = number[:-1], 1 << {"k": 10, "m": 20, "g": 30}[number[-1:]]
    if not (number.isascii() and number.isdigit() and int(number)):
        raise UsageError(f"invalid value {text!r} for --{flag}", hint="a size such as 64m or 1g")
    return int(number) * unit


_LIMITS = (
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "stack",
)


def _ulimit(word: str) -> tuple[str, int, int]:
    """``name=soft[:hard]``; ``-1`` and ``unlimited`` are no limit."""
    name, _, values = word.partition("=")
    soft, _, hard = values.partition(":")
    try:
        numbers = [-1 if each == "unlimited" else int(each) for each in (soft, hard or soft)]
    except ValueError:
        numbers = []
    if name.lower() not in _LIMITS or not numbers or min(numbers) < -1:
        hint = f"NAME=SOFT[:HARD], where NAME is one of {', '.join(_LIMITS)}"
        raise UsageError(f"invalid value {word!r} for --ulimit", hint=hint)
    return name.lower(), numbers[0], numbers[1]


def _host(word: str) -> tuple[str, str]:
    """``name:address`` (or ``name=address``) → ``(address, name)``, the order of /etc/hosts."""
    import ipaddress

    name, _, address = word.partition("=" if "=" in word else ":")
    address = address.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        hint = "write NAME:ADDRESS, for example db:10.0.0.7 or db:[fd00::7]"
        raise UsageError(f"invalid value {word!r} for --add-host", hint=hint) from error
    if not name or name.split() != [name]:
        raise UsageError(f"invalid value {word!r} for --add-host: there is no host name")
    return address, name


def state_dir(wish: str, around: Surroundings) -> str:
    """An absolute path: the wish (``--state-dir``, ``GAZAMI_STATE_DIR``), else a folder of ours in the first of
    ``XDG_CACHE_HOME``, ``TMPDIR``, ``~/.cache`` and ``/tmp`` that is usable."""
    environ, own = around.environ, f"gazami-{around.uid}"
    if wish:
        return absolute(wish, around.cwd)
    if environ.get("XDG_CACHE_HOME", "").startswith("/"):
        return f"{environ['XDG_CACHE_HOME'].rstrip('/')}/gazami"
    if temporary := environ.get("TMPDIR"):
        return f"{absolute(temporary, around.cwd).rstrip('/')}/{own}"
    return f"{around.home.rstrip('/')}/.cache/gazami" if around.home else f"/tmp/{own}"


def _messages(parsed: Parsed, around: Surroundings) -> list[Message]:
    """Deprecated spellings, flags that were set and do nothing, and variables of kaniko that do nothing."""
    said: list[tuple[Level, str]] = [("warning", text) for text in (*parsed.notices, *around.warnings)]
    said += [("warning", text) for text in registries.unknown_helpers(parsed)]
    if left_out := parsed.texts("target")[1:]:
        said.append(("warning", f"--target: only the first stage is built, {', '.join(left_out)} left out"))
    for option in changed(parsed, BUILD):
        if option.effect is Effect.LATER:
            said.append(("warning", f"--{option.name} is not effective yet: {option.note}"))
        elif option.effect is Effect.NOTHING:
            said.append(("info", f"--{option.name} has no effect in gazami: {option.note}"))
    for name in _UNUSED_VARIABLES:
        if around.environ.get(name):
            said.append(("warning", f"the variable {name} is not effective yet"))
    features = sorted(name for name in around.environ if name.startswith("FF_KANIKO_"))
    if features:
        said.append(("info", f"{', '.join(features)}: feature flags have no effect, gazami does what Docker does"))
    return [Message(level, text) for level, text in said]
