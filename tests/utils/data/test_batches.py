from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils.data.batches import TaskBatchSampler, collate_videos
from utils.data.dataset import VideoDataset
from utils.data.preparation import Video


def dataset(sizes, partners=None):
    """A data set of that many videos a task, interleaved; nothing is read."""
    videos = [
        Video(task, f"{task}{number}", Path("unused"), 2, {})
        for number in range(max(sizes.values(), default=0))
        for task, size in sizes.items()
        if number < size
    ]
    return VideoDataset(videos, partners=partners)


def task_of(data, index):
    return data.videos[index].task if index < len(data) else data.partners.videos[index - len(data)].task


sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(2, 9), min_size=1)


@given(sizes, st.integers(2, 5), st.booleans(), st.integers(0, 3), st.integers(0, 2**40))
def test_batches_are_of_one_task_and_reach_every_video(sizes, batch_size, shuffle, epoch, seed):
    data = dataset(sizes)
    sampler = TaskBatchSampler(data, batch_size, seed, shuffle)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler) == sum(-(-size // batch_size) for size in sizes.values())
    for batch in batches:
        assert 2 <= len(batch) <= batch_size
        assert len(set(batch)) == len(batch)
        assert len({task_of(data, index) for index in batch}) == 1
    seen = Counter(index for batch in batches for index in batch)
    assert set(seen) == set(range(len(data)))
    borrowed = sum(size % batch_size == 1 for size in sizes.values())
    assert seen.total() == len(data) + borrowed


def test_the_order_depends_on_seed_and_epoch_alone():
    data = dataset({"a": 9, "b": 8})

    def batches(seed, epoch):
        sampler = TaskBatchSampler(data, 2, seed)
        sampler.set_epoch(epoch)
        torch.manual_seed(epoch)  # the global generator plays no part
        return list(sampler)

    assert batches(3, 5) == batches(3, 5)
    assert batches(3, 5) != batches(3, 6)
    assert batches(3, 5) != batches(4, 5)
    assert batches(0, 1) != batches(1, 0)


def test_without_shuffling_every_epoch_is_the_same_and_in_order():
    sampler = TaskBatchSampler(dataset({"a": 3, "b": 2}), 2, seed=1, shuffle=False)
    first = list(sampler)
    sampler.set_epoch(7)
    assert list(sampler) == first == [[0, 2], [4, 0], [1, 3]]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_lone_video_borrows_a_training_video_of_its_task(shuffle):
    data = dataset({"a": 1, "b": 2}, partners=dataset({"a": 3, "b": 2}))
    batches = list(TaskBatchSampler(data, 2, seed=0, shuffle=shuffle))
    # Where it has company in its own split, that is its partner.
    company = dataset({"a": 3}, partners=dataset({"a": 3}))
    assert all(
        index < 3 for batch in TaskBatchSampler(company, 2, seed=0, shuffle=shuffle) for index in batch
    )
    (lone,) = [batch for batch in batches if 0 in batch]
    assert lone[0] == 0
    assert lone[1] in data.partner_indices("a")
    assert all(index < len(data) for batch in batches if batch is not lone for index in batch)


def test_a_shuffled_lone_video_meets_all_its_partners_over_the_epochs():
    data = dataset({"a": 1}, partners=dataset({"a": 4}))
    sampler = TaskBatchSampler(data, 2, seed=0)
    met = set()
    for epoch in range(40):
        sampler.set_epoch(epoch)
        met |= {index for batch in sampler for index in batch}
    assert met == {0, *data.partner_indices("a")}


def test_a_video_without_any_partner_is_refused():
    with pytest.raises(ValueError, match="task 'a' has one video"):
        TaskBatchSampler(dataset({"a": 1, "b": 2}), 2, seed=0)
    with pytest.raises(ValueError, match="BATCH_SIZE is 1"):
        TaskBatchSampler(dataset({"a": 2}), 1, seed=0)


def test_an_empty_data_set_has_no_batches():
    sampler = TaskBatchSampler(dataset({}), 2, seed=0)
    assert len(sampler) == 0
    assert list(sampler) == []


def test_collating_keeps_each_length():
    items = [(torch.zeros(3, 2), {"name": "x"}), (torch.ones(5, 2), {"name": "y"})]
    sequences, times = collate_videos(items)
    assert [tuple(sequence.shape) for sequence in sequences] == [(3, 2), (5, 2)]
    assert times == [{"name": "x"}, {"name": "y"}]
    assert sequences[1] is items[1][0]
