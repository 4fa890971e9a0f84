# The image of workers, topic creation and publishing; Kafka is an image of its own (docker-compose.yml).
FROM python:3.13-slim-bookworm AS build
WORKDIR /app
RUN python -m venv .venv
# The packages first: they change less often than the code.
COPY requirements.lock ./
RUN .venv/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY state/ state/
COPY streams/ streams/
COPY serving/ serving/
COPY chronological/ chronological/
COPY evaluation/ evaluation/
COPY alsobought/ alsobought/
RUN .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation .

FROM python:3.13-slim-bookworm
# A volume mounted on /data takes over its owner, so that the user may write there.
RUN useradd --uid 10001 --create-home alsobought \
    && install --directory --owner alsobought --group alsobought /data
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ALSOBOUGHT_DATA_DIR=/data
USER alsobought
WORKDIR /data
ENTRYPOINT ["alsobought"]
CMD ["--help"]
