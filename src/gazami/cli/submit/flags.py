"""The flags of ``gazami submit``: its own, and those of ``gazami build`` that say what is built."""

from __future__ import annotations

from gazami.cli.flags import options as build
from gazami.cli.flags.kinds import BOOL, COMMA_LIST, LIST, PAIRS, SECONDS, STRING, choice
from gazami.cli.flags.option import Group, Option, Table
from gazami.cli.submit.kinds import LIMIT, QUANTITY, SECCOMP, TOLERATIONS

USAGE = """\
Build in a Kubernetes cluster: a Job runs gazami's executor, its progress is shown here, its exit status is this one's.

Usage:
  gazami submit --kubernetes [CONTEXT] --tag NAME[:TAG] [flags]

CONTEXT is a folder of this machine (default: the working directory) or anything that gazami build fetches: a Git
repository, an archive's URL, s3://, gs://. A folder is packed without what .dockerignore leaves out and pushed to the
repository of the layer cache (--cache-repo, default DESTINATION/cache), where the pod fetches it; the same files are
not uploaded twice. Credentials for the registries, a Dockerfile beside the context, --secret and certificates go into a
Secret that belongs to the Job.

All flags of gazami build that say what is built mean the same here, see gazami build --help. --digest-file and its like
are written on this machine. Outputs that are files (--tar-path, --oci-layout-path, --output) are not possible.

Several platforms are built by a Job each, on nodes of that architecture. The last one to finish pushes the index.

With --split, stages that have RUN steps and do not need each other are built by a Job each first, at the same time. The
Job of the target finds their layers in the layer cache.

Needs: the Python package lightkube; the permissions of deploy/kubernetes/submit-role.yaml.

Examples:
  # this folder, in the namespace and cluster of the kubeconfig
  gazami submit --kubernetes . -t registry.example.com/app:1.0 --executor-image registry.example.com/gazami/executor

  # a repository; the pod has GIT_TOKEN from a Secret of the cluster
  gazami submit --kubernetes git://git.example.com/team/app.git#refs/heads/main -t registry.example.com/app:1.0 \\
    --namespace builds --env-from-secret git-token

  # two architectures, one name
  gazami submit --kubernetes . --platform linux/amd64,linux/arm64 -t registry.example.com/app:1.0

  # a tainted node for builds, and what no flag says
  gazami submit --kubernetes . -t registry.example.com/app:1.0 --toleration dedicated=builds:NoSchedule \\
    --node-selector pool=builds --pod-patch pod.yaml

  # follow a build again whose submit ended
  gazami submit --kubernetes --attach gazami-1a2b3c4d5e

  # what would be sent
  gazami submit --kubernetes . -t registry.example.com/app:1.0 --print
"""

# fmt: off
KUBERNETES = Option("kubernetes", BOOL, Group.SANDBOX, "Build in the Kubernetes cluster of the kubeconfig, or of the pod that "
    "this runs in.", default="false", kaniko=False)
NAMESPACE = Option("namespace", STRING, Group.SANDBOX, "The Job's namespace. Default: the kubeconfig's.", metavar="NAME",
    shorthands="n", kaniko=False)
KUBE_CONTEXT = Option("kube-context", STRING, Group.SANDBOX, "A context of the kubeconfig. Default: the current one.",
    metavar="NAME", kaniko=False)
EXECUTOR_IMAGE = Option("executor-image", STRING, Group.SANDBOX, "gazami's executor image, as make images builds and pushes "
    "it.", metavar="NAME[:TAG]", env="GAZAMI_EXECUTOR_IMAGE", kaniko=False)
PLATFORMS = Option("custom-platform", COMMA_LIST, Group.BUILD, "Build for these platforms, on nodes of each "
    "architecture. Default: the node's that the pod comes to.", metavar="OS/ARCH[/VARIANT],…", aliases=("platform",),
    deprecated=("customPlatform",))
SERVICE_ACCOUNT = Option("service-account", STRING, Group.SANDBOX, "Run the pod as this service account, for a cloud's "
    "identity. Its token is in the pod.", metavar="NAME", kaniko=False)
IMAGE_PULL_SECRET = Option("image-pull-secret", LIST, Group.SANDBOX, "A Secret of the cluster that pulls the executor's image.",
    metavar="NAME", kaniko=False)
IMAGE_PULL_POLICY = Option("image-pull-policy", choice("", "Always", "IfNotPresent", "Never"), Group.SANDBOX, "When the node pulls "
    "the executor's image: Always, IfNotPresent or Never. Default: the cluster's.", metavar="WHEN", kaniko=False)
DOCKER_CONFIG_SECRET = Option("docker-config-secret", STRING, Group.SANDBOX, "Take the registry credentials from this "
    "Secret of the cluster and send none. KEY is config.json, or .dockerconfigjson as kubectl create secret docker-registry "
    "has it.", metavar="NAME[:KEY]", kaniko=False)
ENV_FROM_SECRET = Option("env-from-secret", LIST, Group.SANDBOX, "Give the executor the variables of this Secret: GIT_TOKEN, "
    "AWS_….", metavar="NAME", kaniko=False)
ENV = Option("env", PAIRS, Group.SANDBOX, "Give the executor this variable: HTTPS_PROXY, AWS_REGION. Whoever sees the Job sees it.",
    metavar="NAME=VALUE", kaniko=False)
NODE_SELECTOR = Option("node-selector", PAIRS, Group.SANDBOX, "Build on nodes with this label.", metavar="KEY=VALUE",
    kaniko=False)
TOLERATION = Option("toleration", TOLERATIONS, Group.SANDBOX, "Build on nodes with this taint too. Without a value: with any; "
    "without an effect: of each.", metavar="KEY[=VALUE][:EFFECT]", kaniko=False)
PRIORITY_CLASS = Option("priority-class", STRING, Group.SANDBOX, "The pod's PriorityClass.", metavar="NAME", kaniko=False)
RUNTIME_CLASS = Option("runtime-class", STRING, Group.SANDBOX, "The pod's RuntimeClass: gvisor, kata.", metavar="NAME",
    kaniko=False)
QUEUE = Option("queue", STRING, Group.SANDBOX, "A queue of Kueue. The Job is made suspended, and Kueue lets it start; the wait for "
    "that is not limited by --start-timeout.", metavar="NAME", kaniko=False)
POD_LABEL = Option("pod-label", PAIRS, Group.SANDBOX, "A label for the Job and its pod.", metavar="KEY=VALUE", kaniko=False)
POD_ANNOTATION = Option("pod-annotation", PAIRS, Group.SANDBOX, "An annotation for the pod. It has safe-to-evict=false of the "
    "cluster autoscaler and do-not-disrupt=true of Karpenter already.", metavar="KEY=VALUE", kaniko=False)
USER_NAMESPACE = Option("user-namespace", BOOL, Group.SANDBOX, "Give the pod a user namespace of its own (hostUsers: false, "
    "Kubernetes 1.33): RUN is isolated better.", default="false", kaniko=False)
RESTRICTED = Option("restricted", BOOL, Group.SANDBOX, "Make a pod for a namespace of the pod security level restricted: no root, "
    "no capabilities, no new privileges. RUN needs --seccomp-profile too.", default="false", kaniko=False)
SECCOMP_PROFILE = Option("seccomp-profile", SECCOMP, Group.SANDBOX, "The container's seccomp profile: RuntimeDefault, Unconfined, "
    "or localhost/PATH for one on the nodes (deploy/kubernetes/seccomp).", metavar="PROFILE", kaniko=False)
POD_PATCH = Option("pod-patch", STRING, Group.SANDBOX, "Merge this YAML or JSON into the pod's template, as kubectl patch does "
    "(strategic merge). The executor's container is named gazami.", metavar="FILE", kaniko=False)
CPU = Option("cpu", QUANTITY, Group.SANDBOX, "Request this much processor time.", default="250m", metavar="QUANTITY", kaniko=False)
CPU_LIMIT = Option("cpu-limit", QUANTITY, Group.SANDBOX, "Allow no more processor time than this.", metavar="QUANTITY",
    kaniko=False)
MEMORY = Option("memory", QUANTITY, Group.SANDBOX, "Request this much memory; it is also the limit. Default: request 512Mi, no "
    "limit.", metavar="QUANTITY", kaniko=False)
EPHEMERAL_STORAGE = Option("ephemeral-storage", QUANTITY, Group.SANDBOX, "Request this much of the node's disk; it is also the "
    "limit, and that of the build's state. Default: request 1Gi, no limit.", metavar="QUANTITY", kaniko=False)
SPLIT = Option("split", BOOL, Group.SANDBOX, "Build named stages with RUN steps that do not need each other by Jobs of their own, "
    "which meet in the layer cache.", default="false", kaniko=False)
START_TIMEOUT = Option("start-timeout", SECONDS, Group.SANDBOX, "Give up when the pod does not start within this time.",
    default="10m", metavar="SECONDS", kaniko=False)
JOB_TIMEOUT = Option("job-timeout", LIMIT, Group.SANDBOX, "Let the cluster end a Job that takes longer, the wait for its pod "
    "included. 0: never.", default="24h", metavar="SECONDS", kaniko=False)
API_TIMEOUT = Option("api-timeout", SECONDS, Group.SANDBOX, "How long the API server may be away while the Job runs. After that "
    "the Job is left to itself.", default="15m", metavar="SECONDS", kaniko=False)
TTL = Option("ttl", SECONDS, Group.SANDBOX, "How long a finished Job stays.", default="1h", metavar="SECONDS", kaniko=False)
ATTACH = Option("attach", LIST, Group.SANDBOX, "Follow this Job of an earlier submit to its end. Ctrl-C leaves it running.",
    metavar="JOB", kaniko=False)
DETACH = Option("detach", BOOL, Group.SANDBOX, "Do not wait: print the names of the Jobs.", default="false", kaniko=False)
KEEP = Option("keep", BOOL, Group.SANDBOX, "Delete no Job, neither on Ctrl-C nor some time after its end.", default="false",
    kaniko=False)
PRINT = Option("print", BOOL, Group.SANDBOX, "Print the Jobs as YAML and send nothing.", default="false", kaniko=False)
# fmt: on

OWN = Table([row for row in tuple(vars().values()) if isinstance(row, Option)])
_NAMES = frozenset(name for option in OWN for name in option.spellings)
TABLE = Table((*OWN, *(option for option in build.BUILD if not _NAMES.intersection(option.spellings))))
SHOWN = Table(
    (
        *OWN, build.DOCKERFILE, build.BUILD_ARG, build.SECRET, build.DESTINATION, build.DIGEST_FILE, build.CACHE,
        build.CACHE_REPO, build.PROGRESS,
    )
)  # fmt: skip
"""What help lists."""
