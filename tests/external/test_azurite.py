"""Azure Blob contexts against azurite, which checks signatures as the service does."""

from __future__ import annotations

import base64
import hmac
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import obstore
import pytest
from obstore.store import AzureStore
from tests.integration.context.test_contexts import FILES, build, tar
from tests.npm import installed
from tests.services import end, free_port, wait_for_port

pytestmark = pytest.mark.service
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
URL = f"https://{ACCOUNT}.blob.core.windows.net/ctx/deep/a%20b.tgz"


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = installed("azurite-blob")
    port = free_port()
    words = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"]
    words.append("--disableTelemetry")
    server = subprocess.Popen([str(program), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, server)
        url = f"http://127.0.0.1:{port}/{ACCOUNT}"
        store = AzureStore(
            "ctx", endpoint=url, account_name=ACCOUNT, account_key=KEY, client_options={"allow_http": True}, use_emulator=False
        )
        create_container(url)
        obstore.put(store, "deep/a b.tgz", tar(*FILES, ("big", os.urandom(200_000)), mode="w:gz"))
        yield url
    finally:
        end(server)


def create_container(url: str) -> None:
    import urllib.request

    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    text = f"PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2021-08-06\n/{ACCOUNT}/{ACCOUNT}/ctx\nrestype:container"
    request = urllib.request.Request(f"{url}/ctx?restype=container", method="PUT")
    request.add_header("x-ms-date", date)
    request.add_header("x-ms-version", "2021-08-06")
    request.add_header("Authorization", f"SharedKey {ACCOUNT}:{signed(text)}")
    request.add_header("Content-Length", "0")
    urllib.request.urlopen(request).close()


def signed(text: str) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()


def sas() -> str:
    """A service SAS that may read the blob (version 2020-12-06)."""
    end_time = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = ["r", "", end_time, f"/blob/{ACCOUNT}/ctx/deep/a b.tgz", "", "", "", "2020-12-06", "b", *[""] * 7]
    return f"sv=2020-12-06&sr=b&sp=r&se={quote(end_time)}&sig={quote(signed(chr(10).join(fields)), safe='')}"


def test_a_shared_key(azurite: str, tmp_path: Path) -> None:
    environ = {"AZURE_STORAGE_BLOB_ENDPOINT": azurite, "AZURE_STORAGE_ACCESS_KEY": KEY}
    assert {"sub/f", "big"} <= set(build(tmp_path, URL, **environ).files)
    wrong = base64.b64encode(b"wrong").decode()
    refused = build(tmp_path, URL, **{**environ, "AZURE_STORAGE_ACCESS_KEY": wrong})
    assert refused.status == 1 and "403" in refused.log and wrong not in refused.log
    assert "404" in build(tmp_path, URL.replace("deep", "none"), **environ).log


def test_a_shared_access_signature(azurite: str, tmp_path: Path) -> None:
    assert "sub/f" in build(tmp_path, f"{URL}?{sas()}", AZURE_STORAGE_BLOB_ENDPOINT=azurite).files
    assert "sub/f" in build(tmp_path, URL, AZURE_STORAGE_BLOB_ENDPOINT=azurite, AZURE_STORAGE_SAS_TOKEN="?" + sas()).files
    wrong = f"{sas()[:-9]}WR0NGx%3D"
    refused = build(tmp_path, f"{URL}?{wrong}", AZURE_STORAGE_BLOB_ENDPOINT=azurite)
    assert refused.status == 1 and "WR0NG" not in refused.log
