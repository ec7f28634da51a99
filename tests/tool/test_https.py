"""HTTPS as the tool speaks it: whom it trusts, and the proxy that the environment names."""

import datetime
import ipaddress
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import local_http
from tests.kit import dlq
from tests.kit.aws_proxy import AwsProxy


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for 127.0.0.1 that vouches for itself, with its key: the paths of both."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1)).add_extension(address, critical=False)
        .sign(key, hashes.SHA256()))
    folder = tmp_path_factory.mktemp("authority")
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def secure(aws, authority):
    """SQS behind HTTPS, and the variables that lead there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority)
    proxy = AwsProxy({"SQS": aws.aws_url}, context)
    yield proxy
    proxy.close()


def test_a_certificate_that_the_system_trusts_is_accepted(tool, queue, secure, authority):
    batch = dlq.kinesis()
    queue.send(batch)
    seen = tool("list", **secure.environment(), SSL_CERT_FILE=str(authority[0]))
    assert [line["id"] for line in seen.messages] == [batch.id]
    assert "sqs:ReceiveMessage" in secure.actions()


def test_a_certificate_that_nobody_vouches_for_is_refused(tool, queue, secure):
    queue.send(dlq.kinesis())
    refused = tool("list", **secure.environment(), code=1)
    assert "certificate" in refused.err and secure.calls == [], refused.err
    assert queue.counts() == (1, 0)


def test_calls_go_through_the_proxy_that_the_environment_names(tool):
    asked = []

    class Proxy(local_http.Handler):
        def do_POST(self):
            self.read_body()
            asked.append(self.path)
            self.answer(400, b"{}")

    with local_http.StandIn(Proxy) as proxy:
        tool("list", code=1, AWS_ENDPOINT_URL_SQS="http://sqs.example.invalid", HTTP_PROXY=proxy.url, NO_PROXY="",
             no_proxy="")
    assert asked and asked[0].startswith("http://sqs.example.invalid"), asked
