# operator-engine's image: one static program, the certificates of public authorities, and a user that is nobody.
#
#   docker build -t registry.example/operator-engine:0.1.0 .
#
# `tests/image` makes the same image without a container builder: it reads the last stage below and does what that says, so
# nothing else decides what an image holds. BuildKit (Docker 23 or newer) or Buildah 1.33 or newer; for the machine's own
# kind of processor, e.g. `--build-arg TARGET=aarch64-unknown-linux-musl` on ARM.

FROM rust:1.95-bookworm AS build
ARG TARGET=x86_64-unknown-linux-musl
# musl-tools: ring has parts in C and assembly.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates musl-tools \
    && rm -rf /var/lib/apt/lists/* && rustup target add "$TARGET"
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin operator-engine --target "$TARGET" \
    && cp "target/$TARGET/release/operator-engine" /operator-engine

FROM scratch
COPY --from=build --chmod=0755 /operator-engine /operator-engine
COPY --from=build --chmod=0644 /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --chmod=0644 <<END /etc/passwd
root:x:0:0:root:/:/sbin/nologin
nonroot:x:65532:65532:nonroot:/:/sbin/nologin
END
COPY --chmod=0644 <<END /etc/group
root:x:0:
nonroot:x:65532:
END
LABEL org.opencontainers.image.title="operator-engine"
LABEL org.opencontainers.image.description="Runs compute-to-data workflows on Kubernetes"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
ENTRYPOINT ["/operator-engine"]
