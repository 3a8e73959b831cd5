"""Half a minute of what `./dev soak` does for ten."""

import pytest

from .soak import soak
from .tools import sanitized


@pytest.mark.skipif(sanitized(), reason="the memory it measures is the sanitizer's")
def test_under_load_and_churn_no_answer_is_lost_and_nothing_grows(cluster):
    result = soak(cluster, 30)
    print(result)
    assert result.held(), result
