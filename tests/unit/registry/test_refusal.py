from __future__ import annotations

from gazami.errors import AuthenticationError, NotFoundError, RegistryError, TransportError
from gazami.registry.refusal import Refusal, error_of
from gazami.registry.wire import Complaint


def refusal(status: int, *complaints: Complaint, **more: object) -> RegistryError:
    return error_of(Refusal("pull r.test/a:1", "https://r.test/v2/", status, complaints, "r.test", **more))  # type: ignore[arg-type]


def test_authentication_errors_say_who_was_asked() -> None:
    error = refusal(
        401, Complaint("UNAUTHORIZED", "no"), scopes=("repository:a:pull",), asked=("config.json: no entry for r.test",)
    )
    assert isinstance(error, AuthenticationError) and error.status == 401
    assert str(error) == (
        "cannot pull r.test/a:1: status 401, UNAUTHORIZED: no from https://r.test/v2/\n"
        "asked for repository:a:pull\ncredentials: config.json: no entry for r.test"
    )
    assert "gazami login r.test" in str(error.hint)
    cloud = refusal(401, asked=("c: no entry for r.test", "Amazon ECR: no AWS credentials"))
    assert "what the cloud reports" in str(cloud.hint) and "no AWS credentials" in str(cloud)
    denied = refusal(403, asked=("config.json: used",), authenticated=True)
    assert "do not allow" in str(denied.hint)


def test_kinds() -> None:
    assert isinstance(refusal(404), NotFoundError)
    assert "private" in str(refusal(404).hint) and "private" not in str(refusal(404, authenticated=True).hint)
    assert isinstance(refusal(503, attempts=5), TransportError) and "after 5 attempts" in str(refusal(503, attempts=5))
    assert "limits" in str(refusal(429).hint)
    plain = refusal(400, Complaint("", "Client sent an HTTP request to an HTTPS server."))
    assert type(plain) is RegistryError and "TLS" in str(plain.hint)
