ARG BASE_IMAGE
FROM ${BASE_IMAGE:-python:3.13-slim-trixie} AS base

FROM base AS build
# A file in this folder, in PEM form, with the certificate authorities that pip shall trust.
ARG CA_BUNDLE
RUN python3 -m venv /opt/icecream
WORKDIR /build
# The list is whole; pip would take the newest release of what is asked for with an extra.
# The list once more where there is no bundle: a source cannot be empty.
COPY requirements.txt ${CA_BUNDLE:-requirements.txt} ./
RUN if [ -n "$CA_BUNDLE" ]; then export PIP_CERT="/build/${CA_BUNDLE##*/}"; fi \
    && /opt/icecream/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements.txt
COPY pyproject.toml README.md LICENSE piccolo_conf.py ./
COPY icecream icecream
COPY tasks tasks
COPY piccolo_migrations piccolo_migrations
RUN /opt/icecream/bin/pip install --no-deps --no-build-isolation . \
    && /opt/icecream/bin/pip uninstall --yes setuptools pip

FROM base
WORKDIR /app
# Nothing here can install anything.
RUN mkdir var && chown 10001:10001 var \
    && for module in ensurepip pip setuptools; do \
        python3 -c "import shutil, $module; shutil.rmtree($module.__path__[0])" 2>/dev/null || true; \
    done \
    && ! python3 -m pip --version 2>/dev/null
COPY --from=build /opt/icecream /opt/icecream
ENV PATH=/opt/icecream/bin:$PATH ICECREAM_HOST=0.0.0.0
# The libraries came compiled; this compiles what they use of a base whose own modules did not.
RUN icecream openapi >/dev/null
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD python3 -c "import http.client, os; \
    c = http.client.HTTPConnection('127.0.0.1', os.getenv('ICECREAM_PORT') or 8000); \
    c.request('GET', '/health/ready'); raise SystemExit(c.getresponse().status != 200)"
ENTRYPOINT ["icecream"]
CMD ["serve"]
