"""Which features go together, and what goes when some of them do."""

import torch

from excise.surgery.features import FREE, Features


def test_features_that_meet_go_together_and_through_each_other():
    features = Features(5)
    features.join(torch.tensor([1, 2, 0]), torch.tensor([2, 3, 5]))
    assert features.together([3]) == [1, 2, 3]
    assert features.together([5]) == [5]
    assert features.agree(torch.tensor([1, 4]), torch.tensor([3, 4]))
    assert not features.agree(torch.tensor([1]), torch.tensor([4]))
    assert features.gone([2]).tolist() == [False, True, True, True, False, False]


def test_a_group_goes_when_all_its_members_do_and_groups_hold_groups():
    features = Features(4)
    inner = features.group([1, 2])
    outer = features.group([inner, 3])
    assert features.group([2, 1, FREE]) == inner
    assert features.gone([1])[[inner, outer]].tolist() == [False, False]
    assert features.gone([1, 2])[[inner, outer]].tolist() == [True, False]
    assert features.gone([1, 2, 3])[[inner, outer]].tolist() == [True, True]


def test_what_belongs_to_no_feature_never_goes_and_what_is_free_never_stays():
    features = Features(3)
    assert features.group([1, 0]) == 0
    assert features.group([FREE, 2]) == 2
    assert features.group([FREE]) == FREE
    both = features.both(torch.tensor([[1], [0]]), torch.tensor([1, 3]))
    assert both[0, 0] == 1
    assert features.gone([1, 3])[both].tolist() == [[True, True], [False, False]]
