ARG BASE_IMAGE
FROM ${BASE_IMAGE:-python:3.13.14-slim-trixie@sha256:9662417aace5ae7b8e2609cce472b72a8958e134ba372808abe9cc1a0c0125e6} AS base

FROM base AS build
# A PEM file in this folder with the certificate authorities that pip trusts.
ARG CA_BUNDLE
RUN python3 -m venv /opt/icecream
WORKDIR /build
# --no-deps: the list is complete, and pip would take the newest release of a requirement with an extra.
# Without a bundle the list is copied twice, because a source of COPY cannot be empty.
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
# Remove all installers.
RUN mkdir var && chown 10001:10001 var \
    && for module in ensurepip pip setuptools; do \
        python3 -c "import shutil, $module; shutil.rmtree($module.__path__[0])" 2>/dev/null || true; \
    done \
    && ! python3 -m pip --version 2>/dev/null
COPY --from=build /opt/icecream /opt/icecream
ENV PATH=/opt/icecream/bin:$PATH ICECREAM_HOST=0.0.0.0
# The libraries are already compiled. This compiles the modules of the base image that they import.
RUN icecream openapi >/dev/null
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD python3 -c "import http.client, os; \
    c = http.client.HTTPConnection('127.0.0.1', os.getenv('ICECREAM_PORT') or 8000); \
    c.request('GET', '/health/ready'); raise SystemExit(c.getresponse().status != 200)"
ENTRYPOINT ["icecream"]
CMD ["serve"]
