"""A Kubernetes cluster of one process: the API server's part that Jobs need, and a kubelet that really runs the executor.

Jobs are checked against Kubernetes' own schema when they are created. The container is a process of this machine with the Job's
arguments; what it would find in mounted Secrets it finds in folders. ``Cluster`` says what is to go wrong.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import yaml

from tests.kubernetes_ends import condition, take
from tests.loopback import serving

TOKEN = "the-token-of-the-kubeconfig"
VERSION = kubernetes_validate.latest_version()
ROLE = Path(__file__).parents[1] / "deploy/kubernetes/submit-role.yaml"


def _allowed() -> frozenset[tuple[str, str]]:
    """What the documented role allows, and so nothing else is in any test."""
    [role] = [each for each in yaml.safe_load_all(ROLE.read_text()) if each["kind"] == "Role"]
    return frozenset((verb, each) for rule in role["rules"] for each in rule["resources"] for verb in rule["verbs"])


ALLOWED = _allowed()


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """The status of a pod whose container waits."""
    return {"phase": "Pending", "containerStatuses": [_container({"waiting": {"reason": reason, "message": message}})]}


def _container(state: dict[str, Any]) -> dict[str, Any]:
    return {"name": "gazami", "image": "executor", "imageID": "", "ready": False, "restartCount": 0, "state": state}


def unschedulable(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "conditions": [condition]}


@dataclass
class Cluster:
    """``before`` are the pods' statuses before they run, each for half a second and the last for ever when ``stuck``.

    ``cuts`` are numbers of bytes after which a stream of the log breaks off, one for each request; ``forbidden`` are
    ``(verb, resource)``. ``no_pods`` is why the controller cannot make a pod. ``terminated`` replaces members of the container's
    end.
    """

    root: Path
    before: list[dict[str, Any]] = field(default_factory=list)
    stuck: bool = False
    cuts: list[int] = field(default_factory=list)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    no_pods: str = ""
    terminated: dict[str, Any] = field(default_factory=dict)
    outage: int = 0
    """Questions that get no good answer once there is a Job."""

    away_after: str = ""
    """A text of the log after which the API server is away, and ``away`` for how many seconds."""

    away: float = 0.0
    away_until: float = 0.0
    starting: float = 0.0
    """Seconds after that in which the API server knows no roles yet."""

    newer: bool = False
    """The cluster knows more members of a Job than the schema."""

    mute_after: str = ""
    """A text of the log after which no question is answered, and no connection is closed."""

    mute: threading.Event = field(default_factory=threading.Event)
    over_and_out: threading.Event = field(default_factory=threading.Event)
    unanswered: int = 0
    """Objects that are created without the answer getting out."""

    take_after: str = ""
    """A text of the log after which the pod is taken away, as ``take`` of :mod:`tests.kubernetes_ends` says."""

    take: str = ""
    taken: bool = False
    linger: float = 0.3
    """Seconds that a pod is still to be seen after its containers have ended."""

    more: tuple[str, ...] = ()
    """Arguments that the executor gets besides the Job's."""

    noise: tuple[str, ...] = ()
    """Lines that are in the log before the executor's."""

    unstamped: tuple[str, ...] = ()
    """Lines before those, of the kubelet, without a time stamp."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Every Job and Secret that there ever was, by ``kind/name``."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    @property
    def kubeconfig(self) -> str:
        """The path of a kubeconfig for this cluster."""
        path = self.root / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "current-context": "test",
                    "clusters": [{"name": "test", "cluster": {"server": self.url}}],
                    "users": [{"name": "test", "user": {"token": TOKEN}}],
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "builds"}}],
                }
            )
        )
        return str(path)

    # -- the controller and the kubelet ----------------------------------------------------------------------------

    def start(self, job: dict[str, Any]) -> None:
        name = job["metadata"]["name"]
        if self.no_pods:
            self.warn(name, "FailedCreate", self.no_pods)
            return
        threading.Thread(target=self._pod, args=(name, job), daemon=True).start()

    def _pod(self, job: str, manifest: dict[str, Any]) -> None:
        name = f"{job}-abcde"
        template = manifest["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {**template["metadata"]["labels"], "job-name": job}},
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
        with self.changed:
            self.pods[name], self.logs[name] = pod, [*self.unstamped, *map(_stamped, self.noise)]
        for status in self.before:
            self._status(name, status)
            time.sleep(0.5)
        if self.stuck:
            return
        volumes = self._mounted(name, template["spec"]["volumes"])
        if volumes is None or name not in self.pods:
            return
        for each in template["spec"]["containers"][0].get("env", ()):
            wanted = each.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
            if wanted and wanted not in self.secrets:
                self._status(name, waiting("CreateContainerConfigError", f'secret "{wanted}" not found'))
                return
        self._run(name, template["spec"]["containers"][0], volumes)

    def _mounted(self, pod: str, volumes: list[dict[str, Any]]) -> dict[str, Path] | None:
        """Folders by volume; waits for Secrets as a kubelet does."""
        found: dict[str, Path] = {}
        for volume in volumes:
            folder = found[volume["name"]] = self.root / pod / volume["name"]
            folder.mkdir(parents=True)
            if "secret" not in volume:
                continue
            wanted = volume["secret"]["secretName"]
            if not self._has(pod, wanted, f'MountVolume.SetUp failed for volume "{volume["name"]}" : secret "{wanted}" not found'):
                return None
            secret = self.secrets[wanted]
            for item in volume["secret"]["items"]:
                path = folder / item["path"]
                path.write_bytes(base64.b64decode(secret["data"][item["key"]]))
                path.chmod(volume["secret"]["defaultMode"])
        return found

    def _has(self, pod: str, secret: str, otherwise: str) -> bool:
        """Wait for a Secret as a kubelet does, which says at once that it is not there."""
        with self.changed:
            if secret not in self.secrets:
                self.warn(pod, "FailedMount", otherwise)
                self._status(pod, waiting("ContainerCreating"))
            return self.changed.wait_for(lambda: secret in self.secrets, 10)

    def _run(self, pod: str, container: dict[str, Any], volumes: dict[str, Path]) -> None:
        places = {each["mountPath"]: str(volumes[each["name"]]) for each in container["volumeMounts"]}
        arguments = []
        for argument in container["args"]:
            for place, folder in places.items():
                argument = argument.replace(place, folder)
            arguments.append(argument)
        work = self.root / pod / "workspace"
        work.mkdir(parents=True)
        environ = {"PATH": os.environ["PATH"], "HOME": str(work), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        if "/kaniko/.docker" in places:
            environ["DOCKER_CONFIG"] = places["/kaniko/.docker"]
        for each in container.get("env", ()):
            wanted = each.get("valueFrom", {}).get("secretKeyRef")
            data = base64.b64decode(self.secrets[wanted["name"]]["data"][wanted["key"]]).decode() if wanted else each["value"]
            environ[each["name"]] = data
        for source in container.get("envFrom", ()):
            data = self.secrets[source["secretRef"]["name"]]["data"]
            environ |= {key: base64.b64decode(value).decode() for key, value in data.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "gazami.cli.kaniko.executor", *arguments, *self.more],
            cwd=work,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.processes[pod] = process
        self._status(pod, {"phase": "Running", "containerStatuses": [_container({"running": {}})]})
        assert process.stdout is not None
        for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip("\n")
            with self.changed:
                self.logs.get(pod, []).append(_stamped(text))
                if self.away_after and self.away_after in text:
                    self.away_after, self.away_until = "", time.monotonic() + self.away
                if self.mute_after and self.mute_after in text:
                    self.mute.set()
                self.changed.notify_all()
            if self.take_after and self.take_after in text and not self.taken:
                self.taken = True
                take(self, pod)
        code = process.wait()
        end = {"exitCode": code if code >= 0 else 128 - code, "reason": "Error" if code else "Completed", **self.terminated}
        phase = "Failed" if end["exitCode"] else "Succeeded"
        self._status(pod, {"phase": phase, "containerStatuses": [_container({"terminated": end})]})
        self.ended(pod, phase)

    def ended(self, pod: str, phase: str) -> None:
        """What the Job's controller does about a pod that is over; one that was deleted is gone a moment later."""
        job = pod.rpartition("-")[0]
        if phase == "Succeeded":
            condition(self.jobs.get(job), "Complete", "CompletionsReached")
        elif self.jobs.get(job, {}).get("status") is None:
            condition(self.jobs.get(job), "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        if self.pods.get(pod, {}).get("metadata", {}).get("deletionTimestamp"):
            time.sleep(self.linger)
            with self.changed:
                self.pods.pop(pod, None)
                self.changed.notify_all()

    def _status(self, pod: str, status: dict[str, Any]) -> None:
        with self.changed:
            if pod in self.pods:
                kept = {key: self.pods[pod]["status"][key] for key in ("conditions", "reason", "message")
                        if self.taken and key in self.pods[pod]["status"]}  # fmt: skip
                self.pods[pod]["status"] = {**status, **kept}
            self.changed.notify_all()

    def warn(self, name: str, reason: str, message: str) -> None:
        self.events.append(
            {
                "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{name}.{len(self.events)}"}, "type": "Warning",
                "involvedObject": {"name": name}, "reason": reason, "message": message,
                "lastTimestamp": "2026-01-01T00:00:00Z",
            }
        )  # fmt: skip

    def wait_for_more(self, pod: str, lines: list[str], position: int) -> None:
        self.changed.wait_for(lambda: len(lines) > position or self.over(pod), 1)

    def over(self, pod: str) -> bool:
        if pod not in self.pods:
            return True
        states = self.pods[pod]["status"].get("containerStatuses") or [{"state": {}}]
        return "terminated" in states[0]["state"]

    def delete(self, job: str) -> None:
        """What the garbage collector does in the background."""
        with self.changed:
            for name in [name for name, pod in self.pods.items() if pod["metadata"]["labels"]["job-name"] == job]:
                del self.pods[name]
                if name in self.processes and self.processes[name].poll() is None:
                    os.killpg(self.processes[name].pid, signal.SIGTERM)
            for name, secret in list(self.secrets.items()):
                if any(owner["name"] == job for owner in secret["metadata"].get("ownerReferences", ())):
                    del self.secrets[name]
            self.changed.notify_all()

    def close(self) -> None:
        self.over_and_out.set()
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def cluster(self) -> Cluster:
        found: Cluster = self.server.cluster  # type: ignore[attr-defined]
        return found

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("get", {"jobs": self._get_job, "pods": self._pods, "events": self._events})

    def do_POST(self) -> None:
        self._answer("create", {"jobs": self._create_job, "secrets": self._create_secret})

    def do_DELETE(self) -> None:
        self._answer("delete", {"jobs": self._delete_job, "secrets": self._delete_secret})

    def _answer(self, verb: str, routes: dict[str, Callable[[list[str]], None]]) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.document = json.loads(body) if body else {}
        parts = url.path.split("/namespaces/")[-1].split("/")
        namespace, resource, rest = parts[0], parts[1], parts[2:]
        verb = "list" if verb == "get" and not rest else verb
        if self.cluster.mute.is_set():
            self.cluster.over_and_out.wait(60)
        if time.monotonic() < self.cluster.away_until or self.cluster.mute.is_set():
            self.close_connection = True
            return
        if self.cluster.away_until and time.monotonic() < self.cluster.away_until + self.cluster.starting:
            self._refuse(403, "Forbidden", 'User "ci" cannot do anything: RBAC: role.rbac.authorization.k8s.io "x" not found')
            return
        if url.path.endswith("/selfsubjectaccessreviews"):
            self._review()
            return
        named = "/".join([resource, *rest[1:]])
        self.cluster.requests.append((verb, "/".join([resource, *rest])))
        if verb != "create" and self.cluster.outage:
            self.cluster.outage -= 1
            self._refuse(503, "ServiceUnavailable", "the API server is being replaced")
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "Unauthorized", "Unauthorized")
        elif (verb, named) in self.cluster.forbidden or (verb, named) not in ALLOWED:
            text = f'{named} is forbidden: User "ci" cannot {verb} resource "{named}" in the namespace "{namespace}"'
            self._refuse(403, "Forbidden", text)
        else:
            routes[resource](rest)

    def _review(self) -> None:
        wanted = self.document["spec"]["resourceAttributes"]
        named = "/".join(filter(None, (wanted["resource"], wanted.get("subresource"))))
        asked = (wanted["verb"], named)
        allowed = asked in ALLOWED and asked not in self.cluster.forbidden
        self._json({**self.document, "metadata": {}, "status": {"allowed": allowed}}, 201)

    def _json(self, document: dict[str, Any], code: int = 200) -> None:
        data = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
        self._json({**status, "reason": reason, "message": message}, code)

    def _list(self, kind: str, items: list[dict[str, Any]]) -> None:
        self._json({"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": items})

    # -- resources -------------------------------------------------------------------------------------------------

    def _get_job(self, rest: list[str]) -> None:
        found = self.cluster.jobs.get(rest[0])
        self._json(found) if found else self._refuse(404, "NotFound", f'jobs.batch "{rest[0]}" not found')

    def _create_job(self, rest: list[str]) -> None:
        job = self.document
        try:
            kubernetes_validate.validate(job, VERSION, strict=not self.cluster.newer)
        except kubernetes_validate.ValidationError as error:
            self._refuse(422, "Invalid", error.message)
            return
        name = job["metadata"]["name"]
        if name in self.cluster.jobs:
            self._refuse(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
            return
        self.cluster.kept[f"Job/{name}"] = json.loads(json.dumps(job))
        job["metadata"]["uid"] = f"uid-of-{name}"
        self.cluster.jobs[name] = job
        if not job["spec"].get("suspend"):
            self.cluster.start(job)
        self._created(job)

    def _create_secret(self, rest: list[str]) -> None:
        kubernetes_validate.validate(self.document, VERSION, strict=True)
        name = self.document["metadata"]["name"]
        if name in self.cluster.secrets:
            self._refuse(409, "AlreadyExists", f'secrets "{name}" already exists')
            return
        self.cluster.kept[f"Secret/{name}"] = self.document
        with self.cluster.changed:
            self.cluster.secrets[name] = self.document
            self.cluster.changed.notify_all()
        self._created(self.document)

    def _created(self, document: dict[str, Any]) -> None:
        if self.cluster.unanswered:
            self.cluster.unanswered -= 1
            self.close_connection = True
        else:
            self._json(document, 201)

    def _delete_job(self, rest: list[str]) -> None:
        self.cluster.kept["deletion"] = self.query
        if self.cluster.jobs.pop(rest[0], None) is None:
            self._refuse(404, "NotFound", "no such job")
            return
        self.cluster.delete(rest[0])
        self._json({"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _delete_secret(self, rest: list[str]) -> None:
        found = self.cluster.secrets.pop(rest[0], None)
        self._json({"kind": "Status", "status": "Success"}) if found else self._refuse(404, "NotFound", "no such secret")

    def _events(self, rest: list[str]) -> None:
        name = self.query["fieldSelector"].partition("=")[2]
        self._list("Event", [each for each in self.cluster.events if each["involvedObject"]["name"] == name])

    def _pods(self, rest: list[str]) -> None:
        if rest[1:] == ["log"]:
            self._log(rest[0])
            return
        job = self.query["labelSelector"].partition("=")[2]
        with self.cluster.changed:
            found = [pod for pod in self.cluster.pods.values() if pod["metadata"]["labels"]["job-name"] == job]
            self._list("Pod", found)

    def _log(self, pod: str) -> None:
        """The log from its start, followed to its end, cut off where the cluster says so."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        left = self.cluster.cuts.pop(0) if self.cluster.cuts else sys.maxsize
        position = 0
        while True:
            with self.cluster.changed:
                lines = self.cluster.logs.get(pod, [])
                self.cluster.wait_for_more(pod, lines, position)
                fresh, over = lines[position:], self.cluster.over(pod)
            if time.monotonic() < self.cluster.away_until:
                self.close_connection = True
                return
            position += len(fresh)
            data = "".join(f"{line}\n" for line in fresh).encode()
            for start in range(0, len(data), 1000):
                piece = data[start : start + 1000][:left]
                left -= len(piece)
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                if not left:
                    self.close_connection = True
                    return
            if over and position == len(self.cluster.logs.get(pod, [])):
                self.wfile.write(b"0\r\n\r\n")
                return


def _stamped(line: str) -> str:
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e9):09d}Z {line}"


@contextmanager
def kubernetes(root: Path) -> Iterator[Cluster]:
    """A cluster that runs until the end of the block; its processes end with it."""
    root.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(root)
    with serving(_Handler, cluster=cluster) as server:
        cluster.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield cluster
        finally:
            cluster.close()
