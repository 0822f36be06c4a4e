# One image for the API, the front end, the pipeline and provisioning: the command says which.
ARG PYTHON_IMAGE=python:3.12.13-slim-bookworm

# --- What changes rarely comes first, so that a changed source file installs no dependency again ----
FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements-build.txt ./
RUN pip install --require-hashes -r requirements-build.txt \
 && python -m venv --without-pip /opt/vigie
COPY requirements.txt ./
RUN pip --python /opt/vigie/bin/python install --require-hashes -r requirements.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY src ./src
COPY kibana ./kibana
# The wheel is built here, where setuptools is; the environment that runs it has neither pip nor setuptools.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
 && pip --python /opt/vigie/bin/python install --no-deps /wheel/*.whl
# Gradio writes its stubs beside itself when it is first imported, which the running image may not.
RUN /opt/vigie/bin/python -c 'import gradio'

ENV PATH=/opt/vigie/bin:$PATH MODEL_PATH=/app/model/lung_cancer
WORKDIR /app
COPY kibana ./kibana
COPY model ./model
# The demonstration model, trained on its simulated cohort; mount a package of yours and set MODEL_PATH.
RUN vigie train

# --- What runs ------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 10001 vigie \
 && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /tmp vigie \
 && install --directory --owner=vigie --group=vigie /var/lib/vigie
COPY --from=build /opt/vigie /opt/vigie
COPY --from=build /app /app
# HOME is where a read-only container has its tmpfs; 0.0.0.0 is the container's own network.
ENV PATH=/opt/vigie/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MODEL_PATH=/app/model/lung_cancer \
    VIGIE_HOME=/var/lib/vigie \
    API_HOST=0.0.0.0 \
    GRADIO_HOST=0.0.0.0
WORKDIR /app
USER 10001:10001
EXPOSE 8000 7860
ENTRYPOINT ["vigie"]
CMD ["api"]
