"""Callers that keep a container of the debug image and send it commands: agents of Jenkins, Piper, runners.

The image has to have what they start (``sleep``, ``cat``, ``tail -f``, ``nohup``, ``ps``, ``sh``), and a build has to leave the
container as it was: the workspace, the shell, the other commands that run meanwhile.
"""

from __future__ import annotations

import itertools
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from tests.container.pushed import pushed
from tests.integrations.conftest import PASSWORD, USER, Site
from tests.integrations.kubelet import Ended, Kubelet, Running

AGENT = "/home/jenkins/agent"
WORKSPACE = f"{AGENT}/workspace/app"


@dataclass(frozen=True, slots=True)
class Keeper:
    """How a project keeps the container, and what it starts in it with a script on standard input."""

    file: str
    command: tuple[str, ...]
    shell: tuple[str, ...] = ("/busybox/sh",)
    tty: bool = False
    options: tuple[str, ...] = ()
    script: str = ""
    env: dict[str, str] = field(default_factory=dict)


EXECUTOR = "/kaniko/executor -f `pwd`/Dockerfile -c `pwd` --insecure --skip-tls-verify --cache=true --destination={to}\n"
PIPER = (
    "rm -f /kaniko/.docker/config.json\nprintf %s '{config}' > /kaniko/.docker/config.json\n"
    "cp /kaniko/ssl/certs/ca-certificates.crt /tmp/authorities\ncat /tmp/authorities >> /kaniko/ssl/certs/ca-certificates.crt\n"
    "for each in one two; do\n"
    "/kaniko/executor --dockerfile Dockerfile --context dir://$PWD --skip-tls-verify-pull --ignore-path=/workspace"
    " --ignore-path=/busybox --digest-file $PWD/$each.digest --destination {to}-$each || exit $?\ndone\n"
    "/kaniko/executor -c dir://$PWD --dockerfile Dockerfile --destination {to}\n"
)

KEEPERS = {
    "kubernetes plugin, sleep": Keeper("jenkinsci/kubernetes-plugin examples/kaniko.groovy", ("sleep", "99d"), script=EXECUTOR),
    "kubernetes plugin, cat": Keeper(
        "jenkinsci/kubernetes-plugin examples/kaniko.groovy", ("/busybox/cat",), tty=True, script=EXECUTOR
    ),
    "CloudBees": Keeper(
        "CloudBees CI, Using Kaniko with CloudBees CI",
        ("/busybox/cat",),
        tty=True,
        script="export PATH=/busybox:/kaniko:$PATH\ncat > run.sh <<'EOF'\n#!/busybox/sh -xe\n"
        "executor --context $PWD --kaniko-dir=/kaniko --destination {to}\nEOF\nchmod +x run.sh && ./run.sh\n",
    ),
    "Piper": Keeper(
        "SAP/jenkins-library cmd/kanikoExecute.go",
        ("/busybox/tail", "-f", "/dev/null"),
        options=("-u", "0"),
        script=PIPER,
        env={"container": "docker"},
    ),
    "GitLab's template": Keeper(
        "gitlab-org/gitlab Kaniko.gitlab-ci.yml",
        ("sleep", "10000"),
        shell=("sh",),
        script="mkdir -p /kaniko/.docker\necho '{config}' > /kaniko/.docker/config.json\n"
        "grep -q auths /kaniko/.docker/config.json\n"
        "/kaniko/executor --context $PWD --dockerfile $PWD/Dockerfile --destination {to} $KANIKO_ARGS\n",
        env={"KANIKO_ARGS": "--cache=true"},
    ),
}


@contextmanager
def kept(keeper: Keeper, kubelet: Kubelet, site: Site) -> Iterator[Running]:
    name = f"kept-{uuid.uuid4().hex[:8]}"
    volumes = {AGENT: kubelet.empty("agent")}
    if "{config}" not in keeper.script:
        volumes["/kaniko/.docker"] = kubelet.projected("config", {"config.json": site.config})
    kubelet.copy("agent/workspace/app", site.sources)
    image = f"{kubelet.podman.registry}/gazami:debug"
    words = kubelet.words(image, keeper.command[:1], keeper.command[1:], volumes, keeper.env)
    start = kubelet.podman.command("run", "-d", "--name", name, *(["-t"] if keeper.tty else []), *keeper.options, *words)
    subprocess.run(start, check=True, capture_output=True)
    try:
        yield Running(kubelet, name)
    finally:
        subprocess.run(kubelet.podman.command("rm", "-f", "-t", "0", name), check=False, capture_output=True)


def sent(running: Running, keeper: Keeper, script: str) -> Ended:
    return running.command(*keeper.shell, data=f"cd {WORKSPACE}\n{script}")


def filled(script: str, to: str, site: Site) -> str:
    return script.replace("{to}", to).replace("{config}", site.config)


@pytest.mark.parametrize("name", KEEPERS)
def test_a_container_is_used_again(name: str, kubelet: Kubelet, site: Site) -> None:
    """Two builds, after which everything is in its place: files, commands, the workspace; the second one has another status."""
    keeper = KEEPERS[name]
    to = f"{site.registry}/kept-{list(KEEPERS).index(name)}"
    with kept(keeper, kubelet, site) as running:
        before = sent(running, keeper, "ls -la / /busybox | grep -v ' tmp$'\n").log
        for tag in ("1", "2"):
            done = sent(running, keeper, filled(keeper.script, f"{to}:{tag}", site))
            assert done.status == 0, done.log
            assert "of the step" in done.log or tag == "2", done.log
            _, files = pushed(f"{to}:{tag}", kubelet.folder, credentials=f"{USER}:{PASSWORD}")
            assert files["made"] == files["file"]
        assert names(sent(running, keeper, "ls -la / /busybox | grep -v ' tmp$'\n").log) == names(before)
        failing = f"printf 'FROM {kubelet.podman.base}\\nRUN exit 9\\n' > Fails\n/kaniko/executor -c $PWD -f Fails --no-push\n"
        assert sent(running, keeper, failing).status == 9
        said = sent(
            running,
            keeper,
            "ps; nohup sh -c 'echo of nohup'; cat Dockerfile; tail -n 1 file; touch now; ls; which nohup ps tail cat sleep\n",
        )
        assert said.status == 0 and "of nohup" in said.log and "of the context" in said.log, said.log
        if name == "Piper":
            digests = sent(running, keeper, "cat one.digest; echo; cat two.digest").log.splitlines()
            assert len(digests) == 2 and all(each.startswith("sha256:") and len(each) == 71 for each in digests)


def names(listing: str) -> list[str]:
    return [line.split()[-1] for line in listing.splitlines() if line]


def test_jenkins_watches_a_step(kubelet: Kubelet, site: Site) -> None:
    """durable-task: the step runs in the background of a shell that has ended, its log and its status are files of the workspace,
    and a loop touches the log every few seconds, while a RUN has the container's root too: Jenkins takes silence for death."""
    keeper = KEEPERS["kubernetes plugin, cat"]
    control = f"{WORKSPACE}@tmp/durable-1"
    to = f"{site.registry}/watched:1"
    slow = f"FROM {kubelet.podman.base}\\nRUN sleep 3 && echo slept\\n"
    script = (
        f"mkdir -p {control}\nprintf '{slow}' > Dockerfile\n"
        f"printf '%s\\n' '#!/busybox/sh -xe' '/kaniko/executor -c . --destination={to}' > {control}/script.sh\n"
        f"chmod +x {control}/script.sh\nnohup sh -c '\n"
        f"(while [ ! -f {control}/result ]; do touch {control}/beat && date +%s >> {control}/beats; sleep 1; done) &\n"
        f"{control}/script.sh > {control}/log 2>&1; echo $? > {control}/result.tmp\n"
        f"mv {control}/result.tmp {control}/result; wait\n"
        "' >/dev/null 2>&1 &\n"
    )
    with kept(keeper, kubelet, site) as running:
        assert sent(running, keeper, script).status == 0
        folder = kubelet.folder / "agent/workspace/app@tmp/durable-1"
        deadline = time.monotonic() + 60
        while not (folder / "result").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        log = (folder / "log").read_text()
        assert (folder / "result").read_text() == "0\n", log
        assert "slept" in log and "isolated by inplace" in log
        beats = [int(line) for line in (folder / "beats").read_text().split()]
        assert len(beats) >= 3 and max(b - a for a, b in itertools.pairwise(beats)) <= 2, beats
