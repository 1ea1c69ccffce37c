"""Projects that start kaniko's executor as a pod's container, each with the container as it makes it: this table is the only place
that says it. What differs from the project's own is names of images and registries, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

CONTEXT, CONFIG, EMPTY, SECRET, DOCKERFILE = "context", "config", "empty", "secret", "dockerfile"
"""What a volume holds: the sources, ``config.json`` of a docker secret, nothing, ``key.pem``, only the Dockerfile."""

TERMINATION = "/dev/termination-log"
Says = Literal["digest", "name@digest", "nothing"]


@dataclass(frozen=True, slots=True)
class Caller:
    """``file`` is where the project makes the container. ``args`` are quoted as for a shell, with ``{to}`` for the repository and
    ``{registry}`` for its host. ``volumes`` are what lies where. The project reads ``says`` in the file ``read``, to the byte.
    With ``stdin`` it sends the context as a gzipped archive; ``archive`` is what it pushes itself."""

    file: str
    args: str
    volumes: Mapping[str, str]
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    says: Says = "nothing"
    read: str = TERMINATION
    debug: bool = False
    stdin: bool = False
    archive: str = ""


CALLERS: dict[str, Caller] = {
    "Skaffold": Caller(
        "pkg/skaffold/build/cluster/pod.go",
        "--destination {to}:1 --dockerfile Dockerfile --context dir:///kaniko/buildcontext --build-arg A=b --cache"
        " --cache-repo {to}/cache --cache-ttl 6h --cache-dir /cache --cleanup --digest-file /dev/termination-log"
        " --insecure-registry {registry} --skip-tls-verify-registry {registry} --whitelist-var-run --verbosity info",
        {"/kaniko/buildcontext": CONTEXT, "/kaniko/.docker": CONFIG, "/cache": EMPTY},
        env={"UPSTREAM_CLIENT_TYPE": "UpstreamClient(skaffold-v2.16)", "GOOGLE_APPLICATION_CREDENTIALS": "/secret/kaniko-secret"},
        says="digest",
    ),
    "Tekton 0.7": Caller(
        "tektoncd/catalog task/kaniko/0.7/kaniko.yaml",
        "--skip-tls-verify --dockerfile=./Dockerfile --context=/workspace/source/./ --destination={to}:1"
        " --digest-file=/tekton/results/IMAGE_DIGEST",
        {"/workspace/source": CONTEXT, "/kaniko/.docker": CONFIG, "/tekton/results": EMPTY},
        folder="/workspace/source",
        says="digest",
        read="/tekton/results/IMAGE_DIGEST",
    ),
    "Shipwright": Caller(
        "samples/v1beta1/buildstrategy/kaniko/buildstrategy_kaniko_cr.yaml",
        "--dockerfile Dockerfile --context /workspace/source --destination {to}:1 --snapshot-mode redo --no-push"
        " --tar-path /workspace/output-image/image.tar --target '' --ignore-path /product_uuid",
        {"/workspace/source": CONTEXT, "/workspace/output-image": EMPTY, "/tekton/home": EMPTY},
        command=("/kaniko/executor",),
        env={"HOME": "/tekton/home", "DOCKER_CONFIG": "/tekton/home/.docker", "AWS_ACCESS_KEY_ID": "NOT_SET"},
        folder="/workspace/source",
        archive="/workspace/output-image/image.tar",
    ),
    "KMM": Caller(  # and --expose-mounts, which gazami wants for the pod's secrets
        "kubernetes-sigs/kernel-module-management internal/build/pod/maker.go",
        "--destination {to}:1 --build-arg KERNEL_FULL_VERSION=6.1.0 --build-arg MOD_NAME=simple --skip-tls-verify --expose-mounts",
        {"/workspace": DOCKERFILE, "/kaniko/.docker": CONFIG, "/run/secrets/key": SECRET},
    ),
    "DevSpace": Caller(
        "pkg/devspace/build/builder/kaniko/build_pod.go",
        "--dockerfile=/context/Dockerfile --context=dir:///context --destination={to}:1 --build-arg=A=b --snapshotMode=time"
        " --cache=true --cache-repo={to} --insecure --skip-tls-verify",
        {"/context": CONTEXT, "/kaniko/.docker": CONFIG},
    ),
    "Nuclio": Caller(
        "pkg/containerimagebuilderpusher/kaniko.go",
        "--dockerfile=/tmp/nuclio-build-1/staging/Dockerfile --context=/tmp/nuclio-build-1/staging --destination={to}:1"
        " --push-retry=3 --image-fs-extract-retry=3 --cache=true --insecure --insecure-pull --cache-repo={to}/cache"
        " --build-arg=NUCLIO_LABEL=1",
        {"/tmp": EMPTY, "/tmp/nuclio-build-1/staging": CONTEXT, "/kaniko/.docker": CONFIG},
        env={"AWS_SDK_LOAD_CONFIG": "true"},
    ),
    "ZenML": Caller(
        "src/zenml/integrations/kaniko/image_builders/kaniko_image_builder.py",
        "--dockerfile=Dockerfile --context=tar://stdin --destination={to}:1 --image-name-with-digest-file=/dev/termination-log",
        {"/kaniko/.docker": CONFIG},
        says="name@digest",
        stdin=True,
    ),
    "MLRun": Caller(
        "mlrun/server/api/utils/builder.py",
        "--dockerfile /empty/Dockerfile --context /context --destination {to}:1 --insecure",
        {"/empty": DOCKERFILE, "/context": CONTEXT, "/kaniko/.docker": CONFIG},
        env={"AWS_SDK_LOAD_CONFIG": "true", "AWS_SHARED_CREDENTIALS_FILE": "/tmp/aws/credentials"},
    ),
    "Yatai": Caller(
        "bentoml/yatai-image-builder controllers/resources/bentorequest_controller.go",
        "--context=/workspace/buildcontext --verbosity=info --image-fs-extract-retry=3 --cache=false --cache-repo={to}/cache"
        " --compressed-caching=false --compression=zstd --compression-level=-7 --dockerfile=/workspace/buildcontext/Dockerfile"
        " --insecure --destination={to}:1",
        {"/workspace": EMPTY, "/workspace/buildcontext": CONTEXT, "/kaniko/.docker": CONFIG},
        command=("/kaniko/executor",),
        env={"GGCR_EXPERIMENT_ESTARGZ": "1", "IFS": "''"},
    ),
    "Garden": Caller(
        "core/src/plugins/kubernetes/container/build/kaniko.ts",
        """'/kaniko/executor "--context" "dir:///.garden/context" "--dockerfile" "Dockerfile" "--destination" "{to}:1" """
        """"--cache=true" "--insecure" "--build-arg" "A=b";\nexport exitcode=$?;\ntouch /.garden/done;\nexit $exitcode;'""",
        {"/.garden": EMPTY, "/.garden/context": CONTEXT, "/kaniko/.docker": CONFIG},
        command=("sh", "-c"),
        debug=True,
    ),
    "Harness": Caller(
        "drone/drone-kaniko kaniko.go",
        "--dockerfile=Dockerfile --context=dir:///harness --destination={to}:latest --destination={to}:1 --label=by=harness"
        " --snapshot-mode=redo --cache=true --cache-repo={to}/cache --cache-ttl=336h --digest-file=/harness/digest-file"
        " --verbosity=info --cache-run-layers=true --cleanup=true --compressed-caching=true --log-timestamp --push-retry=2"
        " --skip-tls-verify-registry --use-new-run --ignore-var-run=true --image-fs-extract-retry=1 --image-download-retry=1",
        {"/harness": CONTEXT, "/kaniko/.docker": CONFIG},
        command=("/kaniko/executor",),
        folder="/harness",
        says="digest",
        read="/harness/digest-file",
    ),
    "Vela": Caller(
        "go-vela/vela-kaniko cmd/vela-kaniko/plugin.go",
        "--context=/vela/src --dockerfile=Dockerfile --destination={to}:1 --label io.vela.build.number=1 --snapshotMode=redo"
        " --use-new-run --single-snapshot --ignore-var-run=false --ignore-path=/vela",
        {"/vela/src": CONTEXT, "/kaniko/.docker": CONFIG},
        command=("/kaniko/executor",),
        folder="/vela/src",
        debug=True,
    ),
    "kaniko-wrapper": Caller(
        "kaniko-wrapper 2.0.3 (PyPI)",
        "--context=/workspace --dockerfile=Dockerfile --use-new-run --push-retry=7 --image-fs-extract-retry=7"
        " --image-download-retry=7 --snapshot-mode=full --single-snapshot --cleanup --log-timestamp=false --destination={to}:1"
        " --build-arg A=b",
        {"/workspace": CONTEXT, "/kaniko/.docker": CONFIG},
    ),
}
