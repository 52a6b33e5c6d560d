# The programs, without a database. compose.yaml starts them together with one.
FROM python:3.13.16-slim-trixie

# A fixed number, so that the owner of the volume is known outside the container. The volume takes its owner from this folder.
RUN useradd --system --uid 10001 --no-create-home sla-monitor \
    && install -d -o sla-monitor -g sla-monitor -m 700 /var/lib/sla-monitor

COPY . /usr/src/sla-monitor
RUN pip install --no-cache-dir --require-hashes -r /usr/src/sla-monitor/requirements.txt \
    && pip install --no-cache-dir --no-deps /usr/src/sla-monitor

USER 10001
ENV PYTHONUNBUFFERED=1 SLA_MONITOR_HOME=/var/lib/sla-monitor
ENTRYPOINT ["sla-monitor"]
