# The container of the GitHub Action. The runner builds it from the action's own checkout.
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git ca-certificates && rm -rf /var/lib/apt/lists/*
COPY . /opt/gazami
RUN pip install --no-cache-dir --require-hashes -r /opt/gazami/requirements/runtime.txt \
    && pip install --no-cache-dir --no-deps /opt/gazami
ENTRYPOINT ["python3", "-m", "gazami.cli.action"]
