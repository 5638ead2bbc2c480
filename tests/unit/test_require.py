# SPDX-License-Identifier: Apache-2.0
"""What a test asks of the machine is skipped over, or insisted on."""

import pytest

from tests.support.require import require

REASON = "this needs what no machine has"
MISSING = "no-program-has-this-name"


@pytest.mark.parametrize("needed", [MISSING, False])
def test_what_is_missing_skips_the_test_with_the_reason(
    needed: str | bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KMODD_REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match=REASON):
        require(needed, REASON)


@pytest.mark.parametrize("needed", [MISSING, False])
def test_what_is_missing_fails_the_test_where_everything_is_required(
    needed: str | bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMODD_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match=REASON):
        require(needed, REASON)


def test_a_program_that_is_there_is_given_by_its_path() -> None:
    assert require("sh", REASON).endswith("/sh")
    assert require(True, REASON) == ""
