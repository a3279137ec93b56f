FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DATABASE_URL=sqlite:////data/shipbot.db \
    SHIPBOT_CONFIG=/etc/shipbot/shipbot.yml \
    PORT=3000

# What the provider `command` checks out with, and reaches other machines with.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/*

# A user of its own, who may write to /data and nowhere else.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin shipbot \
    && install --directory --owner=shipbot --mode=0700 /data

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --compile --require-hashes -r requirements.lock
COPY bot ./bot
RUN python -m compileall -q bot

USER shipbot
VOLUME /data
EXPOSE 3000

HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]

CMD ["python", "-m", "bot", "serve"]
