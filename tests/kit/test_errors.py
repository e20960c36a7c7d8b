"""Errors are part of the interface."""

from __future__ import annotations

from pilothouse.kit import errors


def test_a_sentence_has_place_fact_and_remedy() -> None:
    error = errors.InvalidInput("not a number.", where="limit", remedy="Use digits.")
    assert str(error) == "limit: not a number. Use digits."
    assert str(errors.NotFound("no such trace")) == "no such trace"


def test_every_error_has_a_code_a_status_and_a_slug_of_its_own() -> None:
    kinds = errors.by_slug()
    subclasses = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, errors.PilothouseError)]
    assert set(kinds.values()) >= set(subclasses) - {errors.PilothouseError}
    for kind in kinds.values():
        assert 400 <= kind.status < 600
        assert kind.exit_code > 0
        assert kind.__doc__


def test_the_table_of_exit_codes() -> None:
    table = dict(errors.exit_codes())
    assert table[7] == "Address in use"
    assert table[8] == "Storage full; storage not writable"
    assert {0, 1, 2, 130} <= set(table)


def test_a_missing_extra_says_how_to_install_it() -> None:
    assert 'pip install "pilothouse[demo]"' in str(errors.MissingExtra("The demo shop", "demo"))
