from pathlib import Path

import pytest
import torch

from synth.artifacts import Draft, Store, check_name
from synth.errors import ArtifactError, ConfigError, NotFoundError, StorageError, UsageError


def visible(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name[0] != "."
    )


def test_what_is_published_is_opened_by_name_latest_version_and_path(store, draft):
    published = store.publish(draft, "pets")
    text = str(published.path)
    for reference in ("pets", "pets@latest", "pets@1", text, published.path):
        artifact = store.open(reference)
        assert artifact.manifest == published.manifest
        assert torch.equal(artifact.weights()["layer.weight"], draft.weights["layer.weight"])
    assert artifact.card.reference == "pets@1"


def test_an_artifact_is_five_files_and_nothing_else(store, draft):
    artifact = store.publish(draft, "pets")
    assert visible(artifact.path) == [
        "README.md",
        "manifest.json",
        "preview.png",
        "training_ids.safetensors",
        "weights.safetensors",
    ]
    assert artifact.manifest.libraries.keys() == {"synth", "torch", "lightning", "numpy"}


def test_each_publishing_makes_a_version_and_leaves_the_others_alone(store, draft):
    first = store.publish(draft, "pets")
    before = {name: (first.path / name).read_bytes() for name in visible(first.path)}
    assert store.publish(draft, "pets").card.reference == "pets@2"
    assert {name: (first.path / name).read_bytes() for name in visible(first.path)} == before
    assert store.versions("pets") == [1, 2]
    assert store.open("pets").manifest.version == 2


def test_versions_are_ordered_as_numbers(store, draft):
    first = store.publish(draft, "pets")
    first.path.rename(first.path.with_name("9"))
    assert store.publish(draft, "pets").manifest.version == 10
    assert store.versions("pets") == [9, 10]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("My Pets", "'my-pets'"),
        ("../pets", "'pets'"),
        (".hidden", "'hidden'"),
        ("x" * 65, "'" + "x" * 64 + "'"),
    ],
)
def test_a_bad_name_is_refused_with_one_that_would_do(store, draft, name, better):
    with pytest.raises(ConfigError, match=f"try {better}"):
        store.publish(draft, name)
    assert not store.root.exists()


@pytest.mark.parametrize("name", ["", "pets\n", "@", "a/b"])
def test_no_other_character_gets_into_a_name(name):
    with pytest.raises(ConfigError, match="A name is 1 to 64"):
        check_name(name)


def test_an_unknown_model_is_answered_with_the_nearest_name(store, draft):
    with pytest.raises(NotFoundError, match="synth train"):
        store.open("pets")
    store.publish(draft, "pets")
    with pytest.raises(NotFoundError, match=r"did you mean 'pets'\?.*Models: pets\."):
        store.open("Pet")
    with pytest.raises(NotFoundError, match="Versions: 1"):
        store.open("pets@2")
    with pytest.raises(NotFoundError, match="no folder"):
        store.open("./pets")


@pytest.mark.parametrize("reference", ["pets@", "pets@0", "pets@New", "pets@1@1", "pets@-1"])
def test_a_reference_that_cannot_be_read_is_refused(store, draft, reference):
    store.publish(draft, "pets")
    with pytest.raises(UsageError, match="NAME@latest"):
        store.open(reference)


@pytest.mark.parametrize("reference", ["", "x" * 5000, "x/" * 5000, "a\0b", "\udcff"])
def test_what_cannot_be_a_path_is_not_found(store, reference):
    with pytest.raises(NotFoundError):
        store.open(reference)


def test_a_bare_word_is_a_folder_only_where_the_store_does_not_know_it(store, draft, tmp_path, monkeypatch):
    elsewhere = Store(tmp_path / "elsewhere").publish(draft, "pets")
    monkeypatch.chdir(elsewhere.path.parent)
    elsewhere.path.rename("fashion")
    assert store.open("fashion").path == Path("fashion")
    with pytest.raises(NotFoundError):
        store.find("fashion")
    store.publish(draft, "fashion")
    assert store.open("fashion").path == store.root / "fashion" / "1"


def test_the_default_store_is_in_synth_home(draft, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path))
    assert Store().publish(draft, "pets").path == tmp_path / "store" / "pets" / "1"


def test_the_list_of_a_store_that_does_not_exist_is_empty(store):
    assert store.list() == []
    assert store.versions("pets") == []


def test_the_list_shows_damaged_versions_with_what_is_wrong(store, draft):
    store.publish(draft, "pets")
    (store.publish(draft, "pets").path / "manifest.json").write_text("{")
    (store.publish(draft, "pets").path / "weights.safetensors").write_bytes(b"")
    (store.publish(draft, "cars").path / "manifest.json").unlink()
    (store.root / "cars" / "notes").mkdir()
    (store.root / "a file").touch()
    entries = {entry.reference: entry for entry in store.list()}
    assert list(entries) == ["cars@1", "pets@1", "pets@2", "pets@3"]
    assert "manifest.json is missing" in entries["cars@1"].error
    assert entries["pets@1"].card.reference == "pets@1"
    assert "manifest.json is not JSON" in entries["pets@2"].error
    assert "weights.safetensors is cut short" in entries["pets@3"].error


def test_a_damaged_latest_version_names_the_others(store, draft):
    store.publish(draft, "pets")
    (store.publish(draft, "pets").path / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"manifest\.json.*Other versions: pets@1"):
        store.open("pets")


def test_a_version_copied_by_hand_is_not_taken_for_another_generator(store, draft):
    path = store.publish(draft, "pets").path
    path.rename(path.with_name("5"))
    with pytest.raises(ArtifactError, match="that of pets@1"):
        store.open("pets@5")


def test_removing_takes_one_version_or_all_when_asked(store, draft):
    for _ in range(3):
        store.publish(draft, "pets")
    with pytest.raises(UsageError, match=r"versions 1, 2, 3.*pets@1"):
        store.remove("pets")
    assert store.remove("pets@1") == ["pets@1"]
    assert store.remove("pets@latest") == ["pets@3"]
    assert store.remove("pets") == ["pets@2"]
    assert store.list() == []
    with pytest.raises(NotFoundError):
        store.remove("pets")


def test_all_versions_go_together(store, draft):
    for _ in range(2):
        store.publish(draft, "pets")
    with pytest.raises(UsageError, match="name 'pets' alone"):
        store.remove("pets@1", all_versions=True)
    assert store.remove("pets", all_versions=True) == ["pets@1", "pets@2"]
    assert visible(store.root) == []


def test_the_number_of_a_removed_version_is_never_another_generator(store, draft):
    store.publish(draft, "pets")
    store.remove("pets")
    assert store.publish(draft, "pets").card.reference == "pets@2"


def test_a_damaged_version_can_be_removed(store, draft):
    (store.publish(draft, "pets").path / "manifest.json").unlink()
    assert store.remove("pets") == ["pets@1"]


def test_removing_a_path_is_refused(store, draft):
    path = store.publish(draft, "pets").path
    with pytest.raises(UsageError, match="yourself"):
        store.remove(str(path))
    assert path.is_dir()


def test_removing_a_link_spares_what_it_points_to(store, draft, tmp_path):
    artifact = store.publish(draft, "pets")
    target = artifact.path.rename(tmp_path / "target")
    artifact.path.symlink_to(target)
    store.remove("pets")
    assert len(visible(target)) == 5
    assert store.publish(draft, "pets").manifest.version == 2


def test_a_store_below_a_file_is_a_storage_error(draft: Draft, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"publish pets in .*store.pets: something else is in its place"):
        Store(tmp_path / "file" / "store").publish(draft, "pets")
    with pytest.raises(StorageError, match="list models"):
        Store(tmp_path / "file").list()


def test_an_alias_means_a_version_until_it_is_set_anew_or_removed(store, draft):
    store.publish(draft, "pets"), store.publish(draft, "pets")
    assert store.aliases("pets") == {}
    assert store.set_alias("pets@1", "stable") == "pets@1"
    assert store.open("pets@stable").card.reference == "pets@1"
    assert store.set_alias("pets", "stable") == "pets@2"
    assert store.open("pets@stable").card.reference == "pets@2"
    store.remove_alias("pets", "stable")
    assert store.aliases("pets") == {}
    assert store.versions("pets") == [1, 2]


def test_an_alias_goes_with_its_version_and_never_means_another(store, draft):
    store.publish(draft, "pets"), store.publish(draft, "pets")
    store.set_alias("pets@1", "old"), store.set_alias("pets@2", "new")
    store.remove("pets@1")
    assert store.aliases("pets") == {"new": 2}
    with pytest.raises(NotFoundError, match=r"no alias 'old'\. Aliases: new\. Versions: 2"):
        store.open("pets@old")


@pytest.mark.parametrize("alias", ["latest", "3", "Stable", "-x", "", "a/b", "x" * 65])
def test_what_cannot_be_an_alias_is_refused(store, draft, alias):
    store.publish(draft, "pets")
    with pytest.raises(ConfigError, match="'stable'"):
        store.set_alias("pets", alias)
    assert store.aliases("pets") == {}


def test_damaged_aliases_are_an_error_that_names_the_file_and_do_not_hurt_versions(store, draft):
    store.publish(draft, "pets")
    (store.root / "pets" / "aliases.json").write_text('{"stable": "one"}')
    with pytest.raises(ArtifactError, match=r"aliases\.json is not .* Delete it"):
        store.open("pets@stable")
    assert store.open("pets@1").card.reference == "pets@1"


def test_unknown_names_and_aliases_are_not_found(store, draft):
    store.publish(draft, "pets")
    with pytest.raises(NotFoundError, match="no model 'pest'"):
        store.set_alias("pest", "stable")
    with pytest.raises(NotFoundError, match="It has none"):
        store.remove_alias("pets", "stable")
