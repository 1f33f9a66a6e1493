# The image of etcdops: one static binary, the names of upstream's programs, certificates of public authorities, nothing else.
# `make image` lays out build/image and builds it; nothing is pulled.
FROM scratch
ARG VERSION=unknown
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="etcdops" \
      org.opencontainers.image.description="etcd, its client, and the operations layer above both" \
      org.opencontainers.image.source="https://github.com/etcdops/etcdops" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY rootfs/ /
COPY --chown=65532:65532 data/ /var/lib/etcd/
COPY --chown=65532:65532 data/ /home/etcdops/
ENV PATH=/usr/local/bin \
    HOME=/home/etcdops \
    ETCD_DATA_DIR=/var/lib/etcd/member-data \
    ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379 \
    ETCD_ADVERTISE_CLIENT_URLS=http://localhost:2379 \
    ETCD_LISTEN_PEER_URLS=http://0.0.0.0:2380
USER 65532:65532
WORKDIR /home/etcdops
EXPOSE 2379 2380
VOLUME /var/lib/etcd
STOPSIGNAL SIGTERM
# Whether this member runs, not whether the cluster has a quorum: engines restart what fails here, and that mends no lost quorum. A
# large database takes minutes to load.
HEALTHCHECK --interval=15s --timeout=10s --start-period=15m --retries=3 CMD ["etcdops", "health", "--fast", "--fail-on=dead", "--member-timeout=3s", "-w", "simple"]
ENTRYPOINT ["etcdops"]
CMD ["serve"]
