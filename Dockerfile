# syntax=docker/dockerfile:1
# One image for both services, the migrations and the command lines; the command chooses.

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/kairon
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /build
# Dependencies first: this layer is built again only when the lock file changes.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-install-project
COPY README.md LICENSE ./
COPY shared ./shared
COPY migrations ./migrations
COPY ledger_service ./ledger_service
COPY recon_service ./recon_service
RUN uv sync --locked --no-dev --no-editable

FROM python:3.13-slim-bookworm AS run
LABEL org.opencontainers.image.title="Kairon" \
      org.opencontainers.image.description="Double-entry ledger and reconciliation" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --system --gid 10001 kairon \
    && useradd --system --uid 10001 --gid kairon --home-dir /nonexistent --shell /usr/sbin/nologin kairon \
    && install --directory --owner=kairon --group=kairon --mode=0750 /var/lib/kairon
COPY --from=build /opt/kairon /opt/kairon
ENV PATH=/opt/kairon/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    KAIRON_DATA_DIR=/var/lib/kairon
WORKDIR /var/lib/kairon
USER 10001:10001
EXPOSE 8000 8001
# recon: uvicorn recon_service.main:app --host 0.0.0.0 --port 8001 --no-access-log
CMD ["uvicorn", "ledger_service.main:app", "--host", "0.0.0.0", "--port", "8000", "--no-access-log"]
