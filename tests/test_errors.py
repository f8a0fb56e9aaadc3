import inspect
import re

import pytest

from synth import errors

TREE = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, errors.SynthError)
]
ROWS = {
    name: (int(exit_code), int(status))
    for name, exit_code, status in re.findall(r"(\w+Error) +(\d+) +(\d+) ", errors.__doc__ or "")
}


def test_the_table_in_the_docstring_holds_every_error():
    assert ROWS.keys() == {error.__name__ for error in TREE}


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_exit_code_and_status_are_those_of_the_table(error):
    assert (error.exit_code, error.status) == ROWS[error.__name__]


def test_each_error_has_a_code_of_its_own_that_fits_a_url():
    codes = [error.code for error in TREE]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_an_error_reads_as_its_message():
    with pytest.raises(errors.SynthError, match=r"^seed must be 3\.$"):
        raise errors.ConfigError("seed must be 3.")
