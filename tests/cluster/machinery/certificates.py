"""Keys and certificates of one cluster, made by openssl: good for a month, known to nobody else.

`ca`       signs the others; clients trust it
`serving`  the API server's, for every name and address by which it is called
`kubelet-client`  with which the API server calls the kubelet (logs), as an administrator
`accounts` signs and verifies ServiceAccount tokens (a key only)
"""

import subprocess

from .keeper import Failed

# Complete by itself: a machine's own openssl.cnf has defaults that contradict these.
CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = operator-engine tests
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[serving]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
subjectAltName = {names}
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
"""


def make(directory, dns_names, addresses):
    """Writes NAME.crt and NAME.key for each of the above into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    names = [f"DNS:{name}" for name in dns_names] + [f"IP:{address}" for address in addresses]
    configuration = directory / "openssl.cnf"
    configuration.write_text(CONFIGURATION.format(names=", ".join(names)))

    def openssl(*arguments):
        try:
            done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True, timeout=60)
        except FileNotFoundError:
            raise Failed("openssl is not installed; on Debian: apt-get install openssl") from None
        if done.returncode != 0:
            raise Failed(f"openssl {arguments[0]} failed: {done.stderr.strip()}")

    def certificate(name, section, subject, *signed_by):
        openssl("req", "-x509", "-config", configuration.name, "-extensions", section, "-days", "30", "-sha256",
                "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
                "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.crt", *signed_by)

    by_ca = ("-CA", "ca.crt", "-CAkey", "ca.key")
    certificate("ca", "ca", "/CN=operator-engine tests CA")
    certificate("serving", "serving", "/CN=kube-apiserver", *by_ca)
    certificate("kubelet-client", "client", "/O=system:masters/CN=kube-apiserver-kubelet-client", *by_ca)
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "accounts.key")
    openssl("pkey", "-in", "accounts.key", "-pubout", "-out", "accounts.pub")
