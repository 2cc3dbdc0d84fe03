# The image of sheetstream: the binary, the libraries it is linked to, and nothing else. docs/operations.md says what is in it and how it was
# checked.

FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make cmake sqlite3 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked \
 && install -D target/release/sheetstream /image/usr/local/bin/sheetstream
# PROJ's database is inside the binary. What is left are the libraries of C and C++, as the loader finds them.
RUN ldd /image/usr/local/bin/sheetstream | grep -o '/[^ ]*' | xargs cp --dereference --parents --target-directory=/image \
 && mkdir -p /image/etc /state \
 && mkdir -m 1777 /image/tmp \
 && echo 'hosts: files dns' >/image/etc/nsswitch.conf

FROM scratch
COPY --from=build /image /
# A new volume takes its owner from here.
COPY --from=build --chown=65532:65532 /state /var/lib/sheetstream
ENV SHEETSTREAM_STATE_DIR=/var/lib/sheetstream/state SHEETSTREAM_SPOOL_DIR=/var/lib/sheetstream
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["/usr/local/bin/sheetstream", "health"]
ENTRYPOINT ["/usr/local/bin/sheetstream"]
CMD ["--help"]
