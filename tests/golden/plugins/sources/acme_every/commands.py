"""A command."""

from mypt.plugins import CommandFactory, hookimpl


def load():
    """Import and return the command."""
    import click

    @click.command()
    @click.argument("name")
    @click.option("--times", type=click.IntRange(min=1), default=1, help="How often.")
    def count(name, times):
        """Print how many parameters a model has."""
        import mypt

        for _ in range(times):
            click.echo(mypt.get_model_info(name)["parameters"])

    return count


@hookimpl
def mypt_commands():
    return [CommandFactory("acme-count", "Print how many parameters a model has.", load=load)]
