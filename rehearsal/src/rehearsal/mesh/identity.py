"""Identities: one certificate authority for each run, one certificate for each service account."""

from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SPIFFE = "spiffe://"
TRUST_DOMAIN = "cluster.local"
"""Istio's default trust domain, with which every principal begins."""

_LIFETIME = timedelta(days=7)


class Certificate(NamedTuple):
    """A certificate and its private key, in PEM."""

    chain: str
    key: str


class Authority:
    """The certificate authority of one run.

    Attributes:
        root: its own certificate, in PEM.
        server: the certificate of listeners; no policy can name it.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        ca = x509.BasicConstraints(ca=True, path_length=0)
        self.root = self._sign("root", self._key, ca)
        self._issued: dict[str, Certificate] = {}
        self.server = self.certificate("inbound")

    def certificate(self, principal: str) -> Certificate:
        """Return the certificate of a principal, the same one each time."""
        if principal not in self._issued:
            key = ec.generate_private_key(ec.SECP256R1())
            uri = x509.UniformResourceIdentifier(SPIFFE + principal)
            chain = self._sign("workload", key, x509.SubjectAlternativeName([uri]))
            self._issued[principal] = Certificate(chain, _private(key))
        return self._issued[principal]

    def _sign(
        self, subject: str, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> str:
        now = datetime.now(timezone.utc)
        builder = x509.CertificateBuilder(
            issuer_name=_name("root"),
            subject_name=_name(subject),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(minutes=1),
            not_valid_after=now + _LIFETIME,
        ).add_extension(extension, critical=True)
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()
