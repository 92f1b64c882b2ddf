# The image is one static file and an empty directory: nothing to update, no shell to break into.
# It is built by `make image`, which compiles the binary on the host and puts both under .run/image;
# compiling inside Docker would need an image to be pulled, and a second cache of every dependency.
FROM scratch

LABEL org.opencontainers.image.title="quipu" \
      org.opencontainers.image.description="A distributed counter: every node counts, every node agrees" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

# A volume takes its owner from the directory that it covers, and there is no chown in here: an
# empty directory that already belongs to the user is copied instead.
COPY --chown=65532:65532 .run/image/root/ /
USER 65532:65532
VOLUME /data

# HTTP and links; SWIM's datagrams; clients of Redis; broadcasts.
EXPOSE 8088/tcp 8088/udp 6380/tcp 7000/udp
ENV QUIPU_HTTP=0.0.0.0:8088 QUIPU_DATA_DIR=/data

# A health check costs a process each time, so it is not asked more often than a person would notice.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/quipu", "health"]
ENTRYPOINT ["/quipu"]

# Last, since it is what changes.
COPY .run/image/quipu /quipu
