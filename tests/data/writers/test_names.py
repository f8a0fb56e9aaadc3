import pytest

from synth.data.writers.names import folder_names


@pytest.mark.parametrize(
    ("class_name", "folder"),
    [
        ("T-shirt", "T-shirt"),
        ("Ankle boot", "Ankle boot"),
        ("chat noir é", "chat noir é"),
        ("a/b\\c", "a_b_c"),
        (".synth-partial", "_synth-partial"),
        ("..", "_"),
        ("", "_"),
        ("ends in dots..", "ends in dots_"),
        ("NUL", "_NUL"),
        ("train", "Train"),
        ("bullet train", "bullet Train"),
        ("test-tube", "Test-tube"),
        ("trainer", "trainer"),
        ("manifest.json", "manifest.json-0"),
    ],
)
def test_a_class_name_becomes_a_safe_folder_name(class_name, folder):
    assert folder_names([class_name]) == [folder]


def test_classes_never_share_a_folder():
    assert folder_names(["a/b", "a_b", "A_B", "train", "Train"]) == [
        "a_b",
        "a_b-1",
        "A_B-2",
        "Train",
        "Train-4",
    ]


def test_long_names_are_cut_at_a_whole_character():
    (name,) = folder_names(["猫" * 200])
    assert name == "猫" * 66
