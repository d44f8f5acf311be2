"""`make mutants` finds what it puts faults into, and the tests that are to notice them."""

from __future__ import annotations

from tests.mutants.faults import PROJECT, all_faults


def test_there_are_faults_of_each_kind_in_files_and_for_tests_that_are_there() -> None:
    faults = list(all_faults())
    assert {each.kind for each in faults} == {"undo", "fsync", "check", "carrier"}
    for each in faults:
        assert each.text != (PROJECT / each.file).read_text(encoding="utf-8"), each
        assert all((PROJECT / test.partition("::")[0]).is_file() for test in each.tests), each
