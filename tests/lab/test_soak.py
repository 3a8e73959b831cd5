"""Half a minute of what `./dev soak` does for ten."""

from .soak import soak


def test_under_load_and_churn_no_answer_is_lost_and_nothing_grows(cluster):
    result = soak(cluster, 30)
    print(result)
    assert result.held(), result
