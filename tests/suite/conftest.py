"""Suites written by a test, and what is said of them."""

import pytest

from s3tui.suite.load import load
from s3tui.text.problems import ConfigError


@pytest.fixture
def suite(tmp_path):
    """Read the text of a suite."""

    def read(text):
        file = tmp_path / "suite.toml"
        file.write_text(text)
        return load(file)

    return read


@pytest.fixture
def problems(suite, tmp_path):
    """What is said of the text of a faulty suite, without the name of its file."""

    def read(text):
        with pytest.raises(ConfigError) as caught:
            suite(text)
        prefix = f"{tmp_path / 'suite.toml'}: "
        assert all(line.startswith(prefix) for line in caught.value.problems)
        return [line.removeprefix(prefix) for line in caught.value.problems]

    return read
