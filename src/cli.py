"""The `vigie` command: one subcommand per thing an operator does; the Makefile calls it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from vigie.api.commands import history, trace
from vigie.client import ask_api
from vigie.drift.commands import drift
from vigie.errors import VigieError
from vigie.logs_pipeline.commands import pipeline_app
from vigie.model.commands import model_app
from vigie.quality.commands import quality
from vigie.schema import FeatureSchema
from vigie.settings import Settings, load_settings, make_home
from vigie.simulation.commands import simulate
from vigie.terminal import UNHEALTHY, out, print_json, say

USER_ERROR = 2

app = typer.Typer(
    name="vigie",
    help="Observability-first inference and logging for tabular scikit-learn models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(pipeline_app, name="pipeline")
app.command()(drift)
app.command()(history)
app.command()(trace)
app.command()(simulate)
app.command()(quality)
app.add_typer(model_app, name="model")


def settings_with_home() -> Settings:
    """Return the settings of a command that keeps data under VIGIE_HOME."""
    settings = load_settings()
    make_home(settings)
    return settings


@app.command()
def demo(
    model: Annotated[
        Path | None, typer.Option(envvar="MODEL", help="An example's folder or a model package.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(envvar="DEMO_SECONDS", min=0, help="End by itself after this time.")
    ] = None,
    traffic: Annotated[bool, typer.Option(envvar="DEMO_TRAFFIC", help="Send sample traffic.")] = True,
    reload: Annotated[bool, typer.Option(help="Restart the services when a source file changes.")] = False,
    store_kind: Annotated[
        Literal["embedded", "elasticsearch"],
        typer.Option("--store", envvar="STORE", help="What keeps the documents, unless ES_HOST is set."),
    ] = "embedded",
) -> None:
    """Run the whole platform on this machine until Ctrl-C."""
    from vigie.demo.demonstration import Choices, run

    run(settings_with_home(), Choices(model, seconds, traffic, reload, store_kind), say)


@app.command()
def api() -> None:
    """Serve the prediction API."""
    from vigie.api.main import serve

    serve(settings_with_home())


@app.command()
def ui() -> None:
    """Serve the Gradio front end."""
    from vigie.ui.app import serve

    serve(settings_with_home())


@app.command()
def redis() -> None:
    """Run the embedded Redis in the foreground."""
    import os

    from vigie.demo.services import embedded_redis

    settings = settings_with_home()
    service = embedded_redis(settings)
    service.demand_free_port()
    say(f"Redis on 127.0.0.1:{settings.redis.redis_port}, Ctrl-C stops it")
    os.execv(service.command[0], service.command)


@app.command()
def store() -> None:
    """Run the embedded store in the foreground."""
    from vigie.store.main import serve

    settings = settings_with_home()
    serve(settings.api.vigie_home / "store", "127.0.0.1", settings.store.es_port)


@app.command()
def train(
    schema: Annotated[
        Path | None, typer.Option(envvar="MODEL", help="Folder of the schema; default MODEL_PATH.")
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the package; default beside MODEL_PATH's schema, else VIGIE_HOME."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(envvar="DATA", help="A CSV file to train on.")] = None,
) -> None:
    """Train a model from its schema and write its package."""
    from vigie.model.package import package_folder
    from vigie.model.training import train as train_package

    settings = load_settings()
    default = settings.model.model_path
    folder = schema or default
    target = out_dir or package_folder(folder, settings.api.vigie_home, default)
    say(str(train_package(folder, target, data)))


@app.command()
def provision(
    folder: Annotated[
        Path, typer.Option("--folder", help="Holds panels.yaml, alerts.yaml and other saved objects.")
    ] = Path("kibana"),
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for the store, and for Kibana.")
    ] = 180,
) -> None:
    """Put templates into the store; data views, dashboards and rules into Kibana if there is one."""
    from vigie.logs_pipeline.provision import provision_all
    from vigie.schema import load_schema

    settings = load_settings()
    schema = load_schema(settings.model.model_path)
    for change in provision_all(settings, schema, folder, wait, say):
        say(str(change))


@app.command()
def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be dropped.")] = False,
) -> None:
    """Drop the indices that are older than RETENTION_DAYS, as the pipeline does every hour."""
    from vigie.logs_pipeline.retention import apply_retention

    drops = apply_retention(load_settings(), dry_run=dry_run)
    for drop in drops:
        say(str(drop))
    if not drops:
        say("no index is older than RETENTION_DAYS")


@app.command()
def dashboards(
    folder: Annotated[
        Path, typer.Option("--folder", help="Holds panels.yaml and gets dashboards.ndjson.")
    ] = Path("kibana"),
) -> None:
    """Write Kibana's saved objects for the served model from the specification of the panels."""
    from vigie.dashboards.fields import check_fields, field_types
    from vigie.dashboards.kibana import DASHBOARDS_FILE, as_ndjson, saved_objects, write
    from vigie.dashboards.specification import PANELS_FILE, load_specification
    from vigie.indices.mappings import MESSAGE, index_mappings
    from vigie.schema import load_schema

    settings = load_settings()
    schema = load_schema(settings.model.model_path)
    specification = load_specification(folder / PANELS_FILE, schema)
    types = field_types(index_mappings(), schema, MESSAGE)
    check_fields(specification, types)
    objects = saved_objects(specification, types, settings.store.es_index_prefix)
    written = write(folder / DASHBOARDS_FILE, as_ndjson(objects))
    say(f"{folder / DASHBOARDS_FILE}: {'written' if written else 'unchanged'}, {len(objects)} objects")


@app.command()
def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Prove that every event produced is stored or accounted for.

    Exit status 1 when not or the store cannot be asked, 2 when there is nothing to measure (Redis away or
    not used).
    """
    from vigie.ledger.proof import verify as verify_ledger

    report = verify_ledger(load_settings())
    if as_json:
        print_json(report.as_dict())
    else:
        out.print(report.as_table())
        for line in report.lines():
            say(line)
    raise typer.Exit(0 if report.balanced else UNHEALTHY)


@app.command()
def erase(
    transaction_id: Annotated[list[str] | None, typer.Argument(help="Ids of requests.")] = None,
    subject: Annotated[
        list[str] | None, typer.Option(help="Id of a person that requests were about.")
    ] = None,
) -> None:
    """Erase everything kept of requests, and record it in the ledger; exit status 1 when not all could be."""
    from vigie.ledger.erasure import erase as erase_events
    from vigie.telemetry.stream.erased import Subject

    if not (transaction_id or subject):
        raise typer.BadParameter("give transaction ids, or --subject")
    wanted = Subject(frozenset(transaction_id or ()), frozenset(subject or ()))
    erasure = erase_events(load_settings(), wanted)
    for line in erasure.lines():
        say(line)
    raise typer.Exit(0 if erasure.found and not erasure.unsettled else UNHEALTHY)


@app.command()
def logs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    level: Annotated[str | None, typer.Option(help="Only this level.")] = None,
    transaction_id: Annotated[str | None, typer.Option(help="Only this transaction.")] = None,
) -> None:
    """Print the newest log entries, newest first."""
    query: dict[str, str | int] = {"limit": limit}
    if level is not None:
        query["level"] = level
    if transaction_id is not None:
        query["transaction_id"] = transaction_id
    answer = ask_api(load_settings(), "GET", "/logs", query=query)
    for entry in answer["logs"]:
        say(f"{entry['timestamp']} {entry['level']:<8} {entry['message']}")
    say(f"{len(answer['logs'])} of {answer['total']}")


@app.command()
def clear_logs(
    force: Annotated[bool, typer.Option(help="Clear entries too that are not indexed yet.")] = False,
) -> None:
    """Clear the stored log entries."""
    print_json(ask_api(load_settings(), "DELETE", "/logs", query={"force": str(force).lower()}))


@app.command()
def health() -> None:
    """Print the API's health; exit status 1 when it cannot serve."""
    answer = ask_api(load_settings(), "GET", "/health", expected=(200, 503))
    print_json(answer)
    raise typer.Exit(0 if answer["status"] in {"ok", "degraded"} else UNHEALTHY)


@app.command()
def predict_test() -> None:
    """Send the schema's example record to the API and print the answer."""
    settings = load_settings()
    schema = FeatureSchema.model_validate(ask_api(settings, "GET", "/model/schema"))
    print_json(ask_api(settings, "POST", "/predict", body=schema.example()))


def main() -> None:
    """Run the command; an error meant for the user is one line on standard error and exit status 2."""
    try:
        app()
    except VigieError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"vigie: {escape(str(error))}")
        sys.exit(USER_ERROR)


if __name__ == "__main__":
    main()
