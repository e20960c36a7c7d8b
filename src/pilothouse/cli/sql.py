"""``pilothouse sql``: a read-only question to the running server, under its limits on time, rows and memory."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pilothouse.kit.client import connect
from pilothouse.kit.config import load
from pilothouse.kit.terminal import Column, Output, note, output_option, print_rows, print_value, server_options


@click.command()
@click.argument("query")
@click.option("--max-rows", type=click.IntRange(1), help="Most rows to return [default: query.max_rows of the server].")
@click.option(
    "--timeout", metavar="DURATION", help="Longest to run, such as 2s [default: query.timeout of the server]."
)
@output_option
@server_options
def sql(
    query: str, max_rows: int | None, timeout: str | None, output: Output, server: str, config_file: str | None
) -> None:
    """Ask the running server in SQL; QUERY may be - to read it from standard input.

    The tables are described in the reference; start with: pilothouse sql "describe spans"
    """
    client = connect(load(file=Path(config_file) if config_file else None), server, timeout=600)
    body: dict[str, object] = {"sql": sys.stdin.read() if query == "-" else query}
    if max_rows:
        body["maxRows"] = max_rows
    if timeout:
        body["timeout"] = timeout
    answer = client.post("/api/sql", body)
    names = [column["name"] for column in answer["columns"]]
    if output != "table":
        # Two columns may have the same name; objects would lose one of them.
        unique = len(set(names)) == len(names)
        print_value([dict(zip(names, row, strict=True)) for row in answer["rows"]] if unique else answer, output)
    else:
        numeric = ("INT", "DOUBLE", "FLOAT", "DECIMAL")
        columns = [
            Column(str(index), column["name"], right=any(word in column["type"] for word in numeric))
            for index, column in enumerate(answer["columns"])
        ]
        rows = [{str(index): value for index, value in enumerate(row)} for row in answer["rows"]]
        print_rows(rows, columns, empty="No rows.")
    cut = "; there are more, use --max-rows" if answer["truncated"] else ""
    note(f"{len(answer['rows'])} rows in {answer['elapsedMs']:.1f} ms{cut}")
