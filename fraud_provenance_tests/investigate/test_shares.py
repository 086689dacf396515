"""Shares: which changes explain an effect, on effects whose causes are known by construction."""

from collections.abc import Callable, Iterable

import pytest

from fraud_provenance.investigate.shares import Distance, explain

CHANGES = [f"day-{index}" for index in range(9)]


def left(harm: Callable[[set[str]], float], changes: Iterable[str] = CHANGES) -> Distance:
    """The distance that a harm makes: it sees the changes that were not put back."""
    return lambda put_back: harm(set(changes) - put_back)


def test_one_cause_is_all_of_the_effect() -> None:
    found = explain(left(lambda bad: 4.0 * ("day-3" in bad)), CHANGES)
    assert found.by_change == {"day-3": 1.0}
    assert (found.effect, found.left, found.unmoved) == (4.0, 0.0, 0.0)


def test_two_causes_share_as_they_harm() -> None:
    found = explain(left(lambda bad: 3.0 * ("day-1" in bad) + 1.0 * ("day-7" in bad)), CHANGES)
    assert found.by_change == pytest.approx({"day-1": 0.75, "day-7": 0.25})
    assert found.together == ("day-1", "day-7")


def test_two_that_harm_only_together_are_both_found() -> None:
    found = explain(left(lambda bad: float({"day-2", "day-6"} <= bad)), CHANGES)
    assert found.by_change == pytest.approx({"day-2": 0.5, "day-6": 0.5})


def test_two_of_which_each_does_all_the_harm_are_both_found() -> None:
    """Putting back either one alone does not help; a look at one change at a time sees nothing."""
    found = explain(left(lambda bad: float(bool({"day-2", "day-6"} & bad))), CHANGES)
    assert found.by_change == pytest.approx({"day-2": 0.5, "day-6": 0.5})
    assert found.alone.get("day-2", 0.0) == 0.0
    assert found.left == 0.0


def test_any_two_of_three_are_found_though_none_matters_by_itself() -> None:
    three = {"day-0", "day-1", "day-2"}
    found = explain(left(lambda bad: float(len(three & bad) > 1)), CHANGES)
    assert set(found.by_change) >= {"day-0", "day-1"}
    assert found.left == 0.0


def test_change_that_does_not_move_the_effect_is_no_cause() -> None:
    found = explain(left(lambda bad: 2.0 * ("day-5" in bad) + 0.05 * ("day-4" in bad)), CHANGES)
    assert set(found.by_change) == {"day-5"}
    assert found.left == pytest.approx(0.05 / 2.05)


def test_change_that_did_good_is_no_cause() -> None:
    found = explain(left(lambda bad: 2.0 - 1.0 * ("day-4" in bad) * 1.0), CHANGES)
    assert found.by_change == {}
    assert found.unmoved == 2.0


def test_chance_explains_less_than_its_floor() -> None:
    harm = left(lambda bad: 1.0 * ("day-5" in bad) + 0.5 * ("day-8" in bad))
    assert set(explain(harm, CHANGES).by_change) == {"day-5", "day-8"}
    assert set(explain(harm, CHANGES, {"day-8": 0.6}).by_change) == {"day-5"}


@pytest.mark.parametrize("effect", [0.0, -1.0])
def test_no_effect_has_no_cause(effect: float) -> None:
    found = explain(lambda _back: effect, CHANGES)
    assert (found.by_change, found.effect) == ({}, 0.0)


def test_no_change_leaves_the_effect_unexplained() -> None:
    found = explain(lambda _back: 1.0, [])
    assert (found.by_change, found.unmoved) == ({}, 1.0)


def test_many_causes_share_all_of_the_effect() -> None:
    found = explain(left(lambda bad: float(len(bad & set(CHANGES[:8])))), CHANGES)
    assert set(found.by_change) == set(CHANGES[:8])
    assert sum(found.by_change.values()) == pytest.approx(1.0)


def test_many_changes_that_do_not_matter_cost_little() -> None:
    many = [f"day-{index}" for index in range(256)]
    found = explain(left(lambda bad: float("day-77" in bad), many), many)
    assert set(found.by_change) == {"day-77"}
    assert found.runs < 60
