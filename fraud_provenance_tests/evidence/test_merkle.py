"""RFC 6962 trees: published vectors, and that no lie leads to the root."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_provenance.attested.tlog import merkle

# The eight leaves and their roots from the reference tests of Certificate Transparency.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ROWS = st.lists(st.binary(max_size=6), min_size=1, max_size=40)


@pytest.mark.parametrize("count", range(1, 9))
def test_root_of_the_reference_leaves_is_the_published_root(count: int) -> None:
    assert merkle.root_of(LEAVES[:count]) == ROOTS[count - 1]


def test_root_of_no_rows_is_the_hash_of_nothing() -> None:
    assert merkle.root_of([]) == EMPTY


@pytest.mark.parametrize(
    ("index", "count", "path"),
    [
        (0, 1, []),
        (
            0, 8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5, 8,
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    ],
)  # fmt: skip
def test_inclusion_path_of_the_reference_leaves_is_the_published_path(
    index: int, count: int, path: list[str]
) -> None:
    assert merkle.inclusion_path(LEAVES[:count], index) == path
    assert merkle.root_from_path(LEAVES[index], index, count, path) == ROOTS[count - 1]


@given(ROWS)
def test_every_row_of_a_batch_leads_to_the_root(rows: list[bytes]) -> None:
    root = merkle.root_of(rows)
    for index, row in enumerate(rows):
        path = merkle.inclusion_path(rows, index)
        assert merkle.root_from_path(row, index, len(rows), path) == root


@given(ROWS, st.data())
def test_a_changed_row_or_hash_of_the_path_does_not_lead_to_the_root(
    rows: list[bytes], data: st.DataObject
) -> None:
    root, count = merkle.root_of(rows), len(rows)
    index = data.draw(st.integers(0, count - 1))
    path = merkle.inclusion_path(rows, index)
    assert merkle.root_from_path(rows[index] + b"x", index, count, path) != root
    for place in range(len(path)):
        bit = data.draw(st.integers(0, 255))
        flipped = f"{int(path[place], 16) ^ (1 << bit):064x}"
        changed = [*path[:place], flipped, *path[place + 1 :]]
        assert merkle.root_from_path(rows[index], index, count, changed) != root


@given(st.lists(st.binary(max_size=6), min_size=2, max_size=40, unique=True), st.data())
def test_another_index_does_not_lead_to_the_root(rows: list[bytes], data: st.DataObject) -> None:
    index, other = data.draw(st.permutations(range(len(rows))))[:2]
    path = merkle.inclusion_path(rows, index)
    try:
        found = merkle.root_from_path(rows[index], other, len(rows), path)
    except ValueError:
        return  # the path is not even as long as that index needs
    assert found != merkle.root_of(rows)


def test_a_node_passed_off_as_a_row_does_not_lead_to_the_root() -> None:
    left, right = (merkle.leaf_hash(row) for row in LEAVES[:2])
    assert merkle.root_of([left + right]) != merkle.root_of(LEAVES[:2])


@pytest.mark.parametrize("index", [-1, 8])
def test_an_index_outside_the_batch_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match="of 8"):
        merkle.inclusion_path(LEAVES, index)
    with pytest.raises(ValueError, match="of 8"):
        merkle.root_from_path(b"", index, 8, [])


@pytest.mark.parametrize("change", [lambda path: path[:-1], lambda path: [*path, path[0]]])
def test_a_path_of_the_wrong_length_is_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(ValueError, match="needs 3"):
        merkle.root_from_path(LEAVES[0], 0, 8, change(merkle.inclusion_path(LEAVES, 0)))


def test_tree_that_grew_from_a_crooked_size_needs_a_proof() -> None:
    old, new = (bytes.fromhex(ROOTS[size - 1]) for size in (3, 5))
    assert not merkle.is_consistent(3, old, 5, new, [])
