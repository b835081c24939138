# An image with nothing but VES, from the files that scripts/release has laid out:
#
#     scripts/release
#     docker build -t ves -f Dockerfile target/package/image
#     docker run -v /var/log/nginx:/logs:ro -v ves:/var/lib/ves --group-add 4 \
#         ves collect --watch '/logs/*access.log' --ship https://logs.example.com/ingest
#
# The group is the one that may read the logs, adm in Debian.
FROM scratch
COPY . /
USER 10001:10001
ENV XDG_STATE_HOME=/var/lib
VOLUME /var/lib/ves
ENTRYPOINT ["/bin/ves"]
CMD ["--help"]
