"""The flags of ``gazami submit``: its own, and those of ``gazami build`` that say what is built."""

from __future__ import annotations

from gazami.cli.flags import options as build
from gazami.cli.flags.kinds import BOOL, COMMA_LIST, LIST, PAIRS, SECONDS, STRING, optional
from gazami.cli.flags.option import Group, Option, Table

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

Needs: pip install 'gazami[k8s]'; the permissions of deploy/kubernetes/submit-role.yaml.

Examples:
  # this folder, in the namespace and cluster of the kubeconfig
  gazami submit --kubernetes . -t registry.example.com/app:1.0 --executor-image registry.example.com/gazami/executor

  # a repository; the pod has GIT_TOKEN from a Secret of the cluster
  gazami submit --kubernetes git://git.example.com/team/app.git#refs/heads/main -t registry.example.com/app:1.0 \\
    --namespace builds --env-from-secret git-token

  # two architectures, one name
  gazami submit --kubernetes . --platform linux/amd64,linux/arm64 -t registry.example.com/app:1.0

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
    "identity or imagePullSecrets.", metavar="NAME", kaniko=False)
DOCKER_CONFIG_SECRET = Option("docker-config-secret", STRING, Group.SANDBOX, "Take the registry credentials from this "
    "Secret of the cluster and send none. KEY is config.json, or .dockerconfigjson as kubectl create secret docker-registry "
    "has it.", metavar="NAME[:KEY]", kaniko=False)
ENV_FROM_SECRET = Option("env-from-secret", LIST, Group.SANDBOX, "Give the executor the variables of this Secret: GIT_TOKEN, "
    "AWS_….", metavar="NAME", kaniko=False)
NODE_SELECTOR = Option("node-selector", PAIRS, Group.SANDBOX, "Build on nodes with this label.", metavar="KEY=VALUE",
    kaniko=False)
USER_NAMESPACE = Option("user-namespace", BOOL, Group.SANDBOX, "Give the pod a user namespace of its own (hostUsers: false, "
    "Kubernetes 1.33): RUN is isolated better.", default="false", kaniko=False)
CPU = Option("cpu", STRING, Group.SANDBOX, "Request this much processor time.", metavar="QUANTITY", kaniko=False)
MEMORY = Option("memory", STRING, Group.SANDBOX, "Request this much memory; it is also the limit.", metavar="QUANTITY",
    kaniko=False)
START_TIMEOUT = Option("start-timeout", SECONDS, Group.SANDBOX, "Give up when the pod does not start within this time.",
    default="10m", metavar="SECONDS", kaniko=False)
JOB_TIMEOUT = Option("job-timeout", optional(SECONDS), Group.SANDBOX, "Let the cluster stop a Job that takes longer.",
    metavar="SECONDS", kaniko=False)
DETACH = Option("detach", BOOL, Group.SANDBOX, "Do not wait: print the names of the Jobs.", default="false", kaniko=False)
KEEP = Option("keep", BOOL, Group.SANDBOX, "Delete no Job, neither on Ctrl-C nor an hour after its end.", default="false",
    kaniko=False)
PRINT = Option("print", BOOL, Group.SANDBOX, "Print the Jobs as YAML and send nothing.", default="false", kaniko=False)
# fmt: on

OWN = Table([row for row in tuple(vars().values()) if isinstance(row, Option)])
TABLE = Table((*OWN, *(option for option in build.BUILD if option is not build.CUSTOM_PLATFORM)))
SHOWN = Table(
    (
        *OWN, build.DOCKERFILE, build.BUILD_ARG, build.SECRET, build.DESTINATION, build.DIGEST_FILE, build.CACHE,
        build.CACHE_REPO, build.PROGRESS,
    )
)  # fmt: skip
"""What help lists."""
