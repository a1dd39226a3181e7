import pytest

from core.run.errors import S3Error, UsageError
from s3tui.runs.lookup import find_name, find_names, find_workspace

NAMES = ["first/by-chance/seed=0", "first/by-chance/seed=1", "first/searched", "second/searched", "second/x"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("first/searched", ["first/searched"]),
        ("x", ["second/x"]),
        ("sec", None),
        ("second/s", ["second/searched"]),
        ("by-chance/seed=1", ["first/by-chance/seed=1"]),
        ("by-chance", None),
        ("by-*", NAMES[:2]),
        ("*/searched", ["first/searched", "second/searched"]),
        ("searched", None),
    ],
)
def test_a_run_is_named_in_full_by_pattern_or_by_a_unique_prefix(pattern, found):
    if found is None:
        with pytest.raises(UsageError, match="may be any of\n"):
            find_names([pattern], NAMES)
    else:
        assert find_names([pattern], NAMES) == found


def test_a_whole_name_wins_over_longer_ones():
    assert find_name("a", ["s/a", "s/a/b", "s/ab"]) == "s/a"


def test_a_name_that_is_none_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'first/searched'"):
        find_names(["first/serched"], NAMES)
    with pytest.raises(UsageError, match="there are none"):
        find_names(["x"], [])


def test_each_run_is_found_once():
    assert find_names(["second/x", "second/*"], NAMES) == ["second/x", "second/searched"]


def test_one_run_is_wanted_where_a_pattern_may_name_several():
    assert find_name("second/x*", NAMES) == "second/x"
    with pytest.raises(UsageError, match="may be any of"):
        find_name("second/*", NAMES)


def test_the_workspace_is_that_of_a_file_a_folder_or_the_folder_of_a_suite(tmp_path, monkeypatch):
    (tmp_path / "mine/.s3tui").mkdir(parents=True)
    (tmp_path / "mine/first").mkdir()
    (tmp_path / "s.toml").write_text('[suite]\nworkspace = "mine"\n')
    for where in ("s.toml", "mine", "mine/first"):
        assert find_workspace(tmp_path / where).path == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="there is no workspace here"):
        find_workspace(None)
    (tmp_path / "runs/.s3tui").mkdir(parents=True)
    assert find_workspace(None).path == tmp_path / "runs"
    (tmp_path / "experiments.toml").write_text('[suite]\nworkspace = "mine"\n')
    assert find_workspace(None).path == tmp_path / "mine"


@pytest.mark.parametrize("text", ["[suite", "suite = 3\n", "[suite]\nworkspace = 3\n"])
def test_a_file_that_names_no_workspace_is_told(tmp_path, text):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(S3Error, match=r"s.toml(: line 1|: suite: | names no workspace)"):
        find_workspace(tmp_path / "s.toml")
