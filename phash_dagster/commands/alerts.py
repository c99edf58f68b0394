"""`phash-dagster alerts …`: does the webhook take what it is told?"""

import typer

from phash_dagster.commands.shared import FAILED, settings_or_exit

app = typer.Typer(help="Alerts to the webhook of your team.", no_args_is_help=True)

_NOT_DELIVERED = 1


@app.callback()
def alerts() -> None:
    """Make `test` a command of its own, although there is one only."""


@app.command()
def test() -> None:
    """Send one message to ALERT_WEBHOOK_URL, to see that it arrives."""
    from phash_dagster.alerts import Kind, Notice, Trouble
    from phash_dagster.alerts.send import DeliveryError, tell, webhook_format
    from phash_dagster.clock import utc_now

    settings = settings_or_exit()
    if not settings.alert_webhook_url.get_secret_value():
        typer.echo("ALERT_WEBHOOK_URL is not set: there is nobody to tell.", err=True)
        raise typer.Exit(FAILED)
    now = utc_now()
    trial = Trouble(
        key="test",
        name="A test",
        detail="Nothing is wrong: somebody ran `phash-dagster alerts test`.",
        severity="warning",
        since=now,
    )
    form = webhook_format(settings)
    try:
        tell(settings, [Notice(Kind.STARTED, trial)], now)
    except DeliveryError as error:
        typer.echo(f"phash-dagster: not delivered as {form}: {error}", err=True)
        raise typer.Exit(_NOT_DELIVERED) from None
    typer.echo(f"Delivered as {form}.")
