# The container of the GitHub Action. The runner builds it from the action's own checkout.
#
# Everything that pip installs is pinned by hash, the build backend included. BASE is a tag, not a digest: the digest has to come
# from a registry that was asked when this line was written, and none was. SECURITY.md says what that means. To pin it:
#   --build-arg BASE=python:3.11-slim@sha256:<the digest that `gazami inspect python:3.11-slim` prints>
ARG BASE=python:3.11-slim
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends git ca-certificates && rm -rf /var/lib/apt/lists/*
COPY . /opt/gazami
RUN pip install --no-cache-dir --require-hashes --target /tmp/build -r /opt/gazami/requirements/build.txt \
    && PYTHONPATH=/tmp/build pip wheel --no-cache-dir --no-deps --no-build-isolation -w /tmp/wheel /opt/gazami \
    && pip install --no-cache-dir --require-hashes -r /opt/gazami/requirements/runtime.txt \
    && pip install --no-cache-dir --no-deps --no-index /tmp/wheel/*.whl \
    && rm -rf /tmp/build /tmp/wheel
ENTRYPOINT ["python3", "-m", "gazami.cli.kaniko.action"]
