# syntax=docker/dockerfile:1

# The same Debian as the image that runs it: the binary links this glibc.
FROM rust:1.95-bookworm AS build
# Optional parts, by cargo's names: `--build-arg FEATURES=kafka`. They are off for a small image with few parts that can be attacked.
ARG FEATURES=""
WORKDIR /src
COPY . .
# The cache mounts keep downloads and compiled dependencies between builds; a changed source recompiles the
# workspace only. `touch`, because the cache knows a file by its time and a checkout may set an old one.
RUN --mount=type=cache,id=trailsift-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=trailsift-target,target=/src/target,sharing=locked \
    find crates -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --package trailsift --bin trailsift --features "${FEATURES}" \
    && install -D target/release/trailsift /out/bin/trailsift \
    && mkdir -p /out/data/trailsift

# glibc, libgcc, OpenSSL's libraries (for the feature kafka alone), CA certificates and nothing else: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="trailsift" \
      org.opencontainers.image.description="Sifts CloudTrail buckets for the events that matter and delivers them" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"

COPY --from=build /out/bin/trailsift /usr/local/bin/trailsift
# The one folder that it writes. A new named volume takes its owner from here.
COPY --from=build --chown=65532:65532 /out/data/ /var/lib/
VOLUME /var/lib/trailsift

# In numbers: only so can Kubernetes verify runAsNonRoot.
USER 65532:65532

# /livez, /readyz and /metrics, once the configuration says listen = "0.0.0.0:9180": the default, loopback, cannot
# be reached from outside of a container. There is no HEALTHCHECK, since the image holds nothing that could ask:
# the orchestrator asks /livez and /readyz itself.
EXPOSE 9180

# /etc/trailsift holds the configuration and is mounted by whoever runs it; SIGTERM drains.
ENTRYPOINT ["/usr/local/bin/trailsift"]
CMD ["run"]
